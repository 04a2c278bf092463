package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	accept       = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
)

// HTTP/1.1 alone: container runtimes speak it to registries, and it is what the servers are compared over.
var tlsConfig = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     tlsConfig.Clone(),
		MaxIdleConns:        1024,
		MaxIdleConnsPerHost: 512,
		DisableCompression:  true,
		ReadBufferSize:      256 << 10,
		WriteBufferSize:     256 << 10,
	}}
}

// blob is the content of a file.
type blob struct {
	file, digest string
	size         int64
}

func parseBlobs(args []string) ([]blob, error) {
	var blobs []blob
	for _, arg := range args {
		parts := strings.Split(arg, ",")
		if len(parts) != 3 {
			return nil, fmt.Errorf("%q is not FILE,DIGEST,SIZE", arg)
		}
		size, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, blob{parts[0], parts[1], size})
	}
	return blobs, nil
}

// tally counts what many goroutines do.
type tally struct {
	bytes, requests, errors atomic.Int64
}

// fail counts an error, and shows the first ones.
func (t *tally) fail(err error) {
	if t.errors.Add(1) <= 5 {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
	}
}

func (t *tally) outcome(began time.Time) map[string]any {
	seconds := time.Since(began).Seconds()
	return map[string]any{
		"bytes": t.bytes.Load(), "requests": t.requests.Load(), "errors": t.errors.Load(),
		"seconds": seconds, "rate": float64(t.bytes.Load()) / 1e6 / seconds,
	}
}

// inParallel calls work once for each of the numbers below n, at most `workers` at once.
func inParallel(n, workers int, work func(i int)) {
	numbers := make(chan int)
	var group sync.WaitGroup
	for range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range numbers {
				work(i)
			}
		}()
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	group.Wait()
}

// fetch reads an answer of status 200 to its end. A verifier, if there is one, gets every byte.
func fetch(client *http.Client, url string, buffer []byte, verifier hash.Hash) (int64, error) {
	response, err := open(client, http.MethodGet, url)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return drain(response, buffer, verifier)
}

func open(client *http.Client, method, url string) (*http.Response, error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", accept)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("%s %s: status %d", method, url, response.StatusCode)
	}
	return response, nil
}

func drain(response *http.Response, buffer []byte, verifier hash.Hash) (int64, error) {
	var total int64
	for {
		n, err := response.Body.Read(buffer)
		total += int64(n)
		if verifier != nil {
			verifier.Write(buffer[:n])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return total, err
		}
	}
	if response.ContentLength >= 0 && total != response.ContentLength {
		return total, fmt.Errorf("%s: %d bytes of %d", response.Request.URL, total, response.ContentLength)
	}
	return total, nil
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// percentile of a sorted list; 0 of an empty one.
func percentile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func sorted(lists [][]float64) []float64 {
	var all []float64
	for _, list := range lists {
		all = append(all, list...)
	}
	sort.Float64s(all)
	return all
}
