package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// requests sends the same request again and again on so many connections, until the time is over or so many have
// been answered. It writes and parses HTTP by itself:
// net/http would take more of the processors than some of the servers.
func requests(o options) (map[string]any, error) {
	if len(o.args) != 1 {
		return nil, fmt.Errorf("requests takes one URL")
	}
	target, err := url.Parse(o.args[0])
	if err != nil {
		return nil, err
	}
	head := o.method + " " + target.RequestURI() + " HTTP/1.1\r\nHost: " + target.Host +
		"\r\nUser-Agent: loadgen\r\nAccept: " + accept + "\r\n\r\n"
	latencies := make([][]float64, o.concurrency)
	var counts tally
	var group sync.WaitGroup
	began := time.Now()
	for i := range o.concurrency {
		group.Add(1)
		go func() {
			defer group.Done()
			c := caller{target: target, head: []byte(head), isHead: o.method == "HEAD", reconnect: o.reconnect,
				body: make([]byte, 64<<10), counts: &counts}
			latencies[i] = c.run(began.Add(o.duration), int64(o.n))
		}()
	}
	group.Wait()
	seconds := time.Since(began).Seconds()
	all := sorted(latencies)
	return map[string]any{
		"requests": len(all), "errors": counts.errors.Load(), "bytes": counts.bytes.Load(), "seconds": seconds,
		"rate": float64(len(all)) / seconds, "p50": percentile(all, 0.5), "p99": percentile(all, 0.99),
	}, nil
}

// caller is one connection after the other.
type caller struct {
	target            *url.URL
	head, body        []byte
	isHead, reconnect bool
	counts            *tally
	connection        net.Conn
	reader            *bufio.Reader
}

// run returns the milliseconds of every request that was answered 200. A limit of 1 is none.
func (c *caller) run(end time.Time, limit int64) []float64 {
	latencies := make([]float64, 0, 4096)
	for time.Now().Before(end) && (limit <= 1 || c.counts.requests.Load() < limit) {
		began := time.Now()
		if err := c.connect(); err != nil {
			c.counts.fail(err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if !c.reconnect {
			began = time.Now()
		}
		n, closes, err := c.ask()
		if err != nil {
			c.counts.fail(err)
		} else {
			latencies = append(latencies, float64(time.Since(began).Microseconds())/1000)
			c.counts.bytes.Add(n)
			c.counts.requests.Add(1)
		}
		if err != nil || closes || c.reconnect {
			c.close()
		}
	}
	c.close()
	return latencies
}

func (c *caller) connect() error {
	if c.connection != nil {
		return nil
	}
	connection, err := net.Dial("tcp", c.target.Host)
	if err != nil {
		return err
	}
	if c.target.Scheme == "https" {
		secure := tls.Client(connection, tlsConfig)
		if err := secure.Handshake(); err != nil {
			connection.Close()
			return err
		}
		connection = secure
	}
	c.connection = connection
	c.reader = bufio.NewReaderSize(connection, 16<<10)
	return nil
}

func (c *caller) close() {
	if c.connection != nil {
		c.connection.Close()
		c.connection = nil
	}
}

func (c *caller) ask() (n int64, closes bool, err error) {
	if _, err := c.connection.Write(c.head); err != nil {
		return 0, true, err
	}
	status, length, chunked, closes, err := c.readHead()
	if err != nil {
		return 0, true, err
	}
	if status != 200 {
		return 0, true, fmt.Errorf("%s: status %d", c.target, status)
	}
	switch {
	case c.isHead:
		return 0, closes, nil
	case chunked:
		n, err = c.readChunks()
	default:
		n, err = c.readBody(length)
	}
	return n, closes, err
}

func (c *caller) readHead() (status int, length int64, chunked, closes bool, err error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return 0, 0, false, true, err
	}
	if len(line) < 12 {
		return 0, 0, false, true, fmt.Errorf("bad status line %q", line)
	}
	status, _ = strconv.Atoi(string(line[9:12]))
	for {
		line, err = c.reader.ReadSlice('\n')
		if err != nil {
			return status, 0, false, true, err
		}
		if len(line) <= 2 {
			return status, length, chunked, closes, nil
		}
		// Most lines are of no interest, and are told by their first letter.
		switch line[0] | 0x20 {
		case 'c':
			if value, ok := field(line, "content-length:"); ok {
				length, _ = strconv.ParseInt(value, 10, 64)
			} else if value, ok := field(line, "connection:"); ok {
				closes = strings.EqualFold(value, "close")
			}
		case 't':
			if _, ok := field(line, "transfer-encoding:"); ok {
				chunked = true
			}
		}
	}
}

func field(line []byte, name string) (string, bool) {
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return "", false
	}
	return string(bytes.TrimSpace(line[len(name):])), true
}

func (c *caller) readBody(length int64) (int64, error) {
	var n int64
	for n < length {
		k, err := c.reader.Read(c.body[:min(int64(len(c.body)), length-n)])
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (c *caller) readChunks() (int64, error) {
	var n int64
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return n, err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(line)), 16, 64)
		if err != nil {
			return n, err
		}
		// The chunk and the end of its line.
		if _, err = io.CopyN(io.Discard, c.reader, size+2); err != nil {
			return n, err
		}
		n += size
		if size == 0 {
			return n, nil
		}
	}
}
