package route

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// Schema is the one that Parse reads.
const Schema = "gopub/route-table/v1"

const (
	deepest        = 8
	mostConditions = 256
)

// keys are all that a table of this schema may have: by one that it does not know nobody may decide. False: the key may
// be missing.
var keys = map[string]bool{
	"schema": true, "app": true, "env": true, "upstream": true, "revision": true, "epoch": true, "token": true, "n": true,
	"rollout": true, "salt": true, "sticky": true, "weight": true, "stable": true, "canary": true, "canary_until": true,
	"lapse": true, "rules": true, "trust": true, "fallback": true,
	"latency": false, "warmup": false, "weight_from": false, "endpoints": false,
}

// Parse reads the document of a table. It checks all that decides; that an edge would take the table, an edge says.
func Parse(document []byte) (*Table, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("route: not a document: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("route: not one document")
	}
	table := &Table{}
	reader := &reader{table: table}
	if reader.read(value); reader.wrong != nil {
		return nil, fmt.Errorf("route: %w", reader.wrong)
	}
	return table, nil
}

// reader takes a document apart; the first thing that is wrong stays.
type reader struct {
	table *Table
	wrong error
	count int
}

func (r *reader) fail(format string, words ...any) {
	if r.wrong == nil {
		r.wrong = fmt.Errorf(format, words...)
	}
}

func (r *reader) read(value any) {
	doc := r.object(value, "the table", keys)
	if r.wrong != nil {
		return
	}
	table := r.table
	if r.text(doc["schema"], "schema") != Schema {
		r.fail("schema is not %q", Schema)
	}
	table.salt = r.text(doc["salt"], "salt")
	kind, name, _ := strings.Cut(r.text(doc["sticky"], "sticky"), ":")
	if table.sticky = (sticky{kind, name}); kind == "header" {
		table.sticky.name = lookedFor(name)
	}
	if (kind != "address" || name != "") && (kind != "header" && kind != "cookie" || name == "") {
		r.fail("sticky is none of address, header:NAME, cookie:NAME")
	}
	table.weight = r.whole(doc["weight"], "weight", Full)
	table.stable, table.canary = r.track(doc["stable"], "stable"), r.track(doc["canary"], "canary")
	table.ends = math.Inf(1)
	if lapse := r.text(doc["lapse"], "lapse"); lapse != "stable" && lapse != "keep" {
		r.fail("lapse is not stable or keep")
	} else if doc["canary_until"] != nil {
		if ends := r.number(doc["canary_until"], "canary_until"); lapse == "stable" {
			table.ends = ends
		}
	}
	if doc["warmup"] != nil {
		table.warmup = r.number(doc["warmup"], "warmup")
	}
	if doc["weight_from"] != nil {
		table.weightFrom = r.whole(doc["weight_from"], "weight_from", Full)
	}
	table.trust = r.networks(doc["trust"], "trust")
	for at, one := range r.list(doc["rules"], "rules") {
		table.rules = append(table.rules, r.rule(one, fmt.Sprintf("rules[%d]", at)))
	}
	if r.count > mostConditions {
		r.fail("rules have %d conditions, and %d at most", r.count, mostConditions)
	}
}

func (r *reader) track(value any, place string) track {
	if value == nil {
		return track{}
	}
	doc := r.object(value, place, map[string]bool{"release": true, "peers": true, "tag": false})
	found := track{release: r.text(doc["release"], place+".release")}
	if tag, there := doc["tag"]; there {
		found.tag = r.text(tag, place+".tag")
	}
	for at, one := range r.list(doc["peers"], place+".peers") {
		here := fmt.Sprintf("%s.peers[%d]", place, at)
		peer := r.object(one, here, map[string]bool{"host": true, "address": true, "since": false})
		read := Peer{Host: r.text(peer["host"], here+".host"), Address: r.text(peer["address"], here+".address")}
		if since, there := peer["since"]; there {
			read.since, read.warms = r.number(since, here+".since"), true
		}
		found.peers = append(found.peers, read)
	}
	return found
}

func (r *reader) rule(value any, place string) rule {
	doc, _ := value.(map[string]any)
	if _, old := doc["header"]; old {
		doc = r.object(value, place, map[string]bool{"id": true, "header": true})
		return rule{r.text(doc["id"], place+".id"), Canary, r.condition(map[string]any{"header": doc["header"]}, place, 1), math.Inf(1)}
	}
	doc = r.object(value, place, map[string]bool{"id": true, "when": true, "to": false, "until": false})
	found := rule{r.text(doc["id"], place+".id"), Canary, r.condition(doc["when"], place+".when", 1), math.Inf(1)}
	if to, there := doc["to"]; there {
		if found.to = r.text(to, place+".to"); found.to != Stable && found.to != Canary {
			r.fail("%s.to is not stable or canary", place)
		}
	}
	if until, there := doc["until"]; there {
		found.until = r.number(until, place+".until")
	}
	return found
}
