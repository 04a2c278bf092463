package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// load has many clients pull an image and others push blobs for as long as it is told, and compares every digest.
func load(o options) (map[string]any, error) {
	blobs, err := parseBlobs(o.args)
	if err != nil {
		return nil, err
	}
	if o.pushes > 0 && len(blobs) == 0 {
		return nil, fmt.Errorf("load needs blobs to push")
	}
	var pulled, pushed tally
	var group sync.WaitGroup
	began := time.Now()
	end := began.Add(o.duration)
	repeat := func(clients int, counts *tally, work func(client int, round int) error) {
		for client := range clients {
			group.Add(1)
			go func() {
				defer group.Done()
				for round := 0; time.Now().Before(end); round++ {
					if err := work(client, round); err != nil {
						counts.fail(err)
					}
				}
			}()
		}
	}
	repeat(o.pulls, &pulled, func(int, int) error { return pullVerified(o, &pulled, end) })
	// Each client pushes into a repository of its own; later rounds push the same content again.
	var turn atomic.Int64
	var stored sync.Map
	repeat(o.pushes, &pushed, func(client, _ int) error {
		b := blobs[int(turn.Add(1))%len(blobs)]
		repo := fmt.Sprintf("%s/push%03d", o.repo, client)
		err := pushAndLook(o, &pushed, repo, b)
		if err == nil {
			stored.Store(o.base+"/v2/"+repo+"/blobs/"+b.digest, b.digest)
		}
		return err
	})
	group.Wait()
	outcome := map[string]any{"pulled": pulled.outcome(began), "pushed": pushed.outcome(began)}
	compareStored(&stored, &pushed)
	outcome["pushed"].(map[string]any)["errors"] = pushed.errors.Load()
	return outcome, nil
}

// pullVerified pulls the image as one node does, until the end, which it does not wait for between blobs.
func pullVerified(o options, counts *tally, end time.Time) error {
	client := newClient()
	defer client.CloseIdleConnections()
	repository := o.base + "/v2/" + o.repo
	digests, err := resolve(client, repository, o.tag, counts)
	if err != nil {
		return err
	}
	buffer := make([]byte, 64<<10)
	for _, digest := range digests {
		if !time.Now().Before(end) {
			return nil
		}
		n, err := fetchVerified(client, repository+"/blobs/"+digest, digest, buffer)
		if err != nil {
			return err
		}
		counts.bytes.Add(n)
		counts.requests.Add(1)
	}
	return nil
}

// compareStored reads every blob that was pushed once more, and compares its digest.
func compareStored(stored *sync.Map, counts *tally) {
	client := newClient()
	defer client.CloseIdleConnections()
	buffer := make([]byte, 64<<10)
	stored.Range(func(url, digest any) bool {
		if _, err := fetchVerified(client, url.(string), digest.(string), buffer); err != nil {
			counts.fail(err)
		}
		return true
	})
}

func fetchVerified(client *http.Client, url, digest string, buffer []byte) (int64, error) {
	verifier := sha256.New()
	n, err := fetch(client, url, buffer, verifier)
	if err != nil {
		return n, err
	}
	if got := "sha256:" + hex.EncodeToString(verifier.Sum(nil)); got != digest {
		return n, fmt.Errorf("%s: the digest is %s", url, got)
	}
	return n, nil
}

// pushAndLook pushes a blob and asks for it.
func pushAndLook(o options, counts *tally, repo string, b blob) error {
	client := newClient()
	defer client.CloseIdleConnections()
	repository := o.base + "/v2/" + repo
	if err := pushFile(client, repository, b, "patch"); err != nil {
		return err
	}
	response, err := open(client, http.MethodHead, repository+"/blobs/"+b.digest)
	if err != nil {
		return err
	}
	response.Body.Close()
	if got := response.Header.Get("Docker-Content-Digest"); got != b.digest || response.ContentLength != b.size {
		return fmt.Errorf("pushed %s of %d bytes, the server has %s of %d", b.digest, b.size, got, response.ContentLength)
	}
	counts.bytes.Add(b.size)
	counts.requests.Add(1)
	return nil
}
