import { describe, expect, it } from 'vitest';

import { REGISTRY_METRICS, RegistryMetrics } from '../metrics.ts';
import { GAUGE_AGGREGATION, lastingOf, sumOf } from './metric-sums.ts';

function answered(metrics: RegistryMetrics, handler: string, seconds: number): void {
  metrics.requestStarted(handler);
  const sizes = { receivedBytes: 0, sentBytes: 10 };
  metrics.requestFinished({ handler, method: 'GET', status: 200, seconds, ...sizes });
}

describe('the sums of metrics', () => {
  it('have a rule for every gauge and for nothing else', () => {
    const gauges = REGISTRY_METRICS.filter(({ type }) => type === 'gauge').map(({ name }) => name);

    expect(Object.keys(GAUGE_AGGREGATION).toSorted()).toEqual(gauges.toSorted());
  });

  it('add counters, histograms and what is going on, for each set of labels', async () => {
    const [first, second] = [new RegistryMetrics('1.2.3'), new RegistryMetrics('1.2.3')];
    answered(first, 'blob', 0.02);
    answered(second, 'blob', 0.3);
    answered(second, 'base', 0.001);
    first.requestStarted('blob');
    second.requestStarted('blob');

    const text = await sumOf([await first.snapshot(), await second.snapshot()]).metrics();

    expect(text).toContain('registry_http_requests_total{handler="blob",method="GET",code="200"} 2\n');
    expect(text).toContain('registry_http_requests_total{handler="base",method="GET",code="200"} 1\n');
    expect(text).toContain('registry_http_in_flight_requests{handler="blob"} 2\n');
    const buckets = [...text.matchAll(/duration_seconds_bucket\{le="([^"]+)",handler="blob".*\} (\d+)/g)];
    expect(Object.fromEntries(buckets.map(([, le, count]) => [le, Number(count)]))).toMatchObject({
      '0.01': 0,
      '0.025': 1,
      '0.25': 1,
      '0.5': 2,
      '+Inf': 2,
    });
    expect(text).toContain('duration_seconds_sum{handler="blob",method="GET"} 0.32\n');
  });

  it('tell the build once and the certificate that ends first', async () => {
    const [first, second] = [new RegistryMetrics('1.2.3'), new RegistryMetrics('1.2.3')];
    first.certificateNotAfter(new Date(2000));
    second.certificateNotAfter(new Date(1000));

    const text = await sumOf([await first.snapshot(), await second.snapshot()]).metrics();

    expect(text).toMatch(/^registry_build_info\{version="1\.2\.3",node_version="[^"]+"\} 1$/m);
    expect(text).toContain('registry_tls_certificate_not_after_seconds 1\n');
  });

  it('keep of an ended process what was counted, and nothing that it was doing', async () => {
    const ended = new RegistryMetrics('1.2.3');
    answered(ended, 'blob', 0.02);
    ended.requestStarted('blob');

    const text = await sumOf([lastingOf(await ended.snapshot())]).metrics();

    expect(text).toContain('registry_http_requests_total{handler="blob",method="GET",code="200"} 1\n');
    expect(text).not.toContain('registry_http_in_flight_requests');
    expect(text).not.toContain('registry_build_info');
  });
});
