/**
 * Quantities as Kubernetes writes them: `100Gi`, `0.5`, `500m`, `1e3`. The grammar and the arithmetic are those
 * of k8s.io/apimachinery/pkg/api/resource, which CEL's `quantity()` uses.
 */

const QUANTITY = /^([+-]?)(\d*)(?:\.(\d*))?([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/;

const DECIMAL_EXPONENTS: Readonly<Record<string, number>> = {
  '': 0,
  n: -9,
  u: -6,
  m: -3,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const BINARY_POWERS: Readonly<Record<string, bigint>> = { Ki: 1n, Mi: 2n, Gi: 3n, Ti: 4n, Pi: 5n, Ei: 6n };

/** A billionth is 10^-9. */
const NANOS = 9;

/** The largest amount, in billionths. */
const MAX_NANOS = (2n ** 63n - 1n) * 10n ** 9n;

/** Beyond it every amount is the largest or the smallest one, whatever its (at most 32) digits are. */
const MAX_EXPONENT = 80;

/** Whether Kubernetes takes it for a quantity. */
export function isQuantity(value: string | number): boolean {
  return quantityNanos(value) !== undefined;
}

/** Negative, zero or positive as `left` is smaller than, equal to or larger than `right`; both are quantities. */
export function compareQuantities(left: string | number, right: string | number): number {
  const [a, b] = [quantityNanos(left) ?? 0n, quantityNanos(right) ?? 0n];
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The amount in billionths, rounded up; undefined when it is not a quantity. */
export function quantityNanos(value: string | number): bigint | undefined {
  const match = QUANTITY.exec(String(value));
  const [, sign, whole = '', fraction = '', suffix = ''] = match ?? [];
  if (`${whole}${fraction}` === '') return undefined;
  const { factor, exponent } = scale(suffix);
  const mantissa = BigInt(`${whole}${fraction}`) * factor;
  const magnitude = scaleUp(mantissa, exponent - fraction.length + NANOS);
  const capped = magnitude > MAX_NANOS ? MAX_NANOS : magnitude;
  return sign === '-' ? -capped : capped;
}

/** What a suffix multiplies by: `factor · 10^exponent`. */
function scale(suffix: string): { factor: bigint; exponent: number } {
  const binary = BINARY_POWERS[suffix];
  if (binary !== undefined) return { factor: 1024n ** binary, exponent: 0 };
  const exponent = DECIMAL_EXPONENTS[suffix] ?? Number(suffix.slice(1));
  return { factor: 1n, exponent: Math.max(-MAX_EXPONENT, Math.min(MAX_EXPONENT, exponent)) };
}

/** `mantissa · 10^exponent`, rounded up to a whole number. */
function scaleUp(mantissa: bigint, exponent: number): bigint {
  if (exponent >= 0) return mantissa * 10n ** BigInt(exponent);
  const divisor = 10n ** BigInt(-exponent);
  return (mantissa + divisor - 1n) / divisor;
}
