package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

const emptyType = "application/vnd.oci.empty.v1+json"

// seed pushes the content that pages are made of, or an image of the given blobs.
func seed(o options) (map[string]any, error) {
	s := seeder{o: o}
	kinds := map[string]func() error{
		"tags": s.tags, "repositories": s.repositories, "referrers": s.referrers, "image": s.image,
	}
	fill := kinds[o.what]
	if fill == nil {
		return nil, fmt.Errorf("no seed %q", o.what)
	}
	began := time.Now()
	if err := fill(); err != nil {
		return nil, err
	}
	return map[string]any{"seconds": time.Since(began).Seconds(), "digest": s.digest}, nil
}

type seeder struct {
	o options
	// digest of the manifest that the seed is about
	digest string
}

func (s *seeder) url(repo string) string { return s.o.base + "/v2/" + repo }

// each calls work for every number below n and returns an error of one of the calls.
func (s *seeder) each(work func(i int) error) error {
	failures := make(chan error, s.o.n)
	inParallel(s.o.n, s.o.concurrency, func(i int) { failures <- work(i) })
	close(failures)
	for err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *seeder) config() []byte {
	return []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{"Image":"` + s.o.repo + `"}}`)
}

func (s *seeder) manifest(more map[string]any) []byte {
	fields := map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": descriptor("application/vnd.oci.image.config.v1+json", s.config()), "layers": []any{},
	}
	for name, value := range more {
		fields[name] = value
	}
	content, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return content
}

func descriptor(mediaType string, content []byte) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": digestOf(content), "size": len(content)}
}

func (s *seeder) tags() error {
	client := newClient()
	if err := pushBytes(client, s.url(s.o.repo), s.config()); err != nil {
		return err
	}
	content := s.manifest(nil)
	s.digest = digestOf(content)
	return s.each(func(i int) error {
		return putManifest(client, s.url(s.o.repo), fmt.Sprintf("v%05d", i), content)
	})
}

func (s *seeder) repositories() error {
	client := newClient()
	content := s.manifest(nil)
	s.digest = digestOf(content)
	return s.each(func(i int) error {
		repository := s.url(fmt.Sprintf("%s/r%05d", s.o.repo, i))
		if err := pushBytes(client, repository, s.config()); err != nil {
			return err
		}
		return putManifest(client, repository, "latest", content)
	})
}

func (s *seeder) referrers() error {
	client := newClient()
	empty := []byte("{}")
	for _, content := range [][]byte{s.config(), empty} {
		if err := pushBytes(client, s.url(s.o.repo), content); err != nil {
			return err
		}
	}
	subject := s.manifest(nil)
	s.digest = digestOf(subject)
	if err := putManifest(client, s.url(s.o.repo), "subject", subject); err != nil {
		return err
	}
	return s.each(func(i int) error {
		content := s.manifest(map[string]any{
			"subject":      descriptor(manifestType, subject),
			"artifactType": "application/vnd.example.signature",
			"annotations":  map[string]string{"number": strconv.Itoa(i)},
			"config":       descriptor(emptyType, empty),
			"layers":       []any{descriptor(emptyType, empty)},
		})
		return putManifest(client, s.url(s.o.repo), digestOf(content), content)
	})
}

func (s *seeder) image() error {
	client := newClient()
	blobs, err := parseBlobs(s.o.args)
	if err != nil {
		return err
	}
	if err := pushBytes(client, s.url(s.o.repo), s.config()); err != nil {
		return err
	}
	var layers []any
	for _, b := range blobs {
		if err := pushFile(client, s.url(s.o.repo), b, "put"); err != nil {
			return err
		}
		layers = append(layers, map[string]any{
			"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": b.digest, "size": b.size,
		})
	}
	content := s.manifest(map[string]any{"layers": layers})
	s.digest = digestOf(content)
	return putManifest(client, s.url(s.o.repo), s.o.tag, content)
}
