package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// push uploads every blob once.
func push(o options) (map[string]any, error) {
	blobs, err := parseBlobs(o.args)
	if err != nil {
		return nil, err
	}
	client := newClient()
	var counts tally
	began := time.Now()
	inParallel(len(blobs), o.concurrency, func(i int) {
		if err := pushFile(client, o.base+"/v2/"+o.repo, blobs[i], o.mode); err != nil {
			counts.fail(err)
			return
		}
		counts.bytes.Add(blobs[i].size)
	})
	return counts.outcome(began), nil
}

func pushFile(client *http.Client, repository string, b blob, mode string) error {
	file, err := os.Open(b.file)
	if err != nil {
		return err
	}
	defer file.Close()
	return pushBlob(client, repository, upload{b.digest, b.size, file, mode})
}

func pushBytes(client *http.Client, repository string, content []byte) error {
	return pushBlob(client, repository, upload{digestOf(content), int64(len(content)), bytes.NewReader(content), "put"})
}

type upload struct {
	digest  string
	size    int64
	content io.Reader
	// mode is "put" for POST and PUT with the content, "patch" for docker's way: POST, PATCH in chunks of unknown
	// number, PUT without a body.
	mode string
}

func pushBlob(client *http.Client, repository string, u upload) error {
	location, err := send(client, http.MethodPost, repository+"/blobs/uploads/", nil, 0, http.StatusAccepted)
	if err != nil {
		return err
	}
	// Hidden, so that the client cannot find out its length.
	content := io.NopCloser(u.content)
	switch u.mode {
	case "put":
		_, err = send(client, http.MethodPut, withDigest(location, u.digest), content, u.size, http.StatusCreated)
	case "patch":
		location, err = send(client, http.MethodPatch, location, content, -1, http.StatusAccepted)
		if err == nil {
			_, err = send(client, http.MethodPut, withDigest(location, u.digest), nil, 0, http.StatusCreated)
		}
	default:
		err = fmt.Errorf("no mode %q", u.mode)
	}
	return err
}

// send returns the absolute Location of the answer.
func send(client *http.Client, method, target string, body io.Reader, size int64, want int) (string, error) {
	request, err := http.NewRequest(method, target, body)
	if err != nil {
		return "", err
	}
	if body != nil {
		request.ContentLength = size
		request.Header.Set("Content-Type", "application/octet-stream")
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	answer, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != want {
		return "", fmt.Errorf("%s %s: status %d: %s", method, target, response.StatusCode, answer)
	}
	location, err := response.Request.URL.Parse(response.Header.Get("Location"))
	if err != nil {
		return "", err
	}
	return location.String(), nil
}

func withDigest(location, digest string) string {
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	return location + separator + "digest=" + url.QueryEscape(digest)
}

func putManifest(client *http.Client, repository, reference string, content []byte) error {
	target := repository + "/manifests/" + reference
	request, err := http.NewRequest(http.MethodPut, target, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", manifestType)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	answer, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("PUT %s: status %d: %s", target, response.StatusCode, answer)
	}
	return nil
}
