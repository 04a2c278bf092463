package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"
)

const pullBuffer = 1 << 20

// pull reads every URL so many times. With -together no stream reads beyond its first buffer before all are open.
func pull(o options) (map[string]any, error) {
	client := newClient()
	var counts tally
	total := o.n * len(o.args)
	if o.barrier && total != o.concurrency {
		return nil, fmt.Errorf("-together needs as many streams as pulls, %d", total)
	}
	var opened sync.WaitGroup
	opened.Add(total)
	began := time.Now()
	inParallel(total, o.concurrency, func(i int) {
		n, err := pullOne(client, o.args[i%len(o.args)], func() {
			opened.Done()
			if o.barrier {
				opened.Wait()
			}
		})
		counts.bytes.Add(n)
		if err != nil {
			counts.fail(err)
		}
	})
	return counts.outcome(began), nil
}

func pullOne(client *http.Client, url string, opened func()) (int64, error) {
	response, err := open(client, http.MethodGet, url)
	opened()
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return drain(response, make([]byte, pullBuffer), nil)
}

// sink lets the kernel throw the answers away, neither copied nor decrypted: what is left is the server's own limit.
func sink(o options) (map[string]any, error) {
	var counts tally
	began := time.Now()
	inParallel(o.n*len(o.args), o.concurrency, func(i int) {
		if err := sinkOne(o.args[i%len(o.args)], o.size); err != nil {
			counts.fail(err)
			return
		}
		counts.bytes.Add(o.size)
	})
	return counts.outcome(began), nil
}

func sinkOne(target string, size int64) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	connection, err := net.Dial("tcp", u.Host)
	if err != nil {
		return err
	}
	defer connection.Close()
	var writer io.Writer = connection
	if u.Scheme == "https" {
		secure := tls.Client(connection, tlsConfig)
		if err := secure.Handshake(); err != nil {
			return err
		}
		writer = secure
	}
	_, err = io.WriteString(writer, "GET "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\nConnection: close\r\n\r\n")
	if err != nil {
		return err
	}
	got, err := discard(connection.(*net.TCPConn))
	if err == nil && got < size {
		err = fmt.Errorf("%s: %d bytes of %d", target, got, size)
	}
	return err
}

// discard reads until the other side closes. MSG_TRUNC makes the kernel drop the bytes.
func discard(connection *net.TCPConn) (got int64, err error) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return 0, err
	}
	buffer := make([]byte, pullBuffer)
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, err := syscall.Recvfrom(int(fd), buffer, syscall.MSG_TRUNC)
			switch {
			case err == syscall.EAGAIN:
				return false
			case err == syscall.EINTR:
				continue
			case err != nil || n == 0:
				failure = err
				return true
			}
			got += int64(n)
		}
	})
	if err == nil {
		err = failure
	}
	return got, err
}

// fanout is so many nodes that pull an image, some of them at once, each with connections of its own.
func fanout(o options) (map[string]any, error) {
	var counts tally
	latencies := make([][]float64, o.n)
	began := time.Now()
	inParallel(o.n, o.concurrency, func(i int) {
		start := time.Now()
		if err := pullImage(o, &counts); err != nil {
			counts.fail(err)
			return
		}
		latencies[i] = []float64{float64(time.Since(start).Microseconds()) / 1000}
	})
	outcome := counts.outcome(began)
	all := sorted(latencies)
	outcome["p50"], outcome["p99"] = percentile(all, 0.5), percentile(all, 0.99)
	return outcome, nil
}

// layersAtOnce is what containerd does.
const layersAtOnce = 3

// pullImage does what containerd does: HEAD by tag, GET by digest, then config and layers.
func pullImage(o options, counts *tally) error {
	client := newClient()
	defer client.CloseIdleConnections()
	digests, err := resolve(client, o.base+"/v2/"+o.repo, o.tag, counts)
	if err != nil {
		return err
	}
	inParallel(len(digests), layersAtOnce, func(i int) {
		n, err := fetch(client, o.base+"/v2/"+o.repo+"/blobs/"+digests[i], make([]byte, 256<<10), nil)
		counts.bytes.Add(n)
		counts.requests.Add(1)
		if err != nil {
			counts.fail(err)
		}
	})
	return nil
}

// resolve returns the digests of what the tag's manifest consists of.
func resolve(client *http.Client, repository, tag string, counts *tally) ([]string, error) {
	head, err := open(client, http.MethodHead, repository+"/manifests/"+tag)
	if err != nil {
		return nil, err
	}
	head.Body.Close()
	digest := head.Header.Get("Docker-Content-Digest")
	response, err := open(client, http.MethodGet, repository+"/manifests/"+digest)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		return nil, err
	}
	counts.requests.Add(2)
	counts.bytes.Add(int64(len(content)))
	if digestOf(content) != digest {
		return nil, fmt.Errorf("manifest %s has the digest %s", digest, digestOf(content))
	}
	var manifest struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}
	if err := json.Unmarshal(content, &manifest); err != nil {
		return nil, err
	}
	digests := []string{manifest.Config.Digest}
	for _, layer := range manifest.Layers {
		digests = append(digests, layer.Digest)
	}
	return digests, nil
}
