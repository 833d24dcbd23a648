package route

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"gopub.dev/gray"
)

// condition reads one; what is wrong is kept, and the value is then of no use.
func (r *reader) condition(value any, place string, depth int) condition {
	doc, is := value.(map[string]any)
	if r.count++; !is || len(doc) != 1 || depth > deepest {
		r.fail("%s is not one condition, at most %d deep", place, deepest)
	}
	if r.wrong != nil {
		return not{}
	}
	for kind, inner := range doc {
		return r.ofKind(kind, inner, place+"."+kind, depth)
	}
	return not{}
}

func (r *reader) ofKind(kind string, inner any, place string, depth int) condition {
	switch kind {
	case "all":
		return all(r.conditions(inner, place, depth))
	case "any":
		return some(r.conditions(inner, place, depth))
	case "not":
		return not{r.condition(inner, place, depth+1)}
	case "header", "cookie", "query":
		return r.named(kind, inner, place)
	case "path":
		prefix := r.text(inner, place)
		return path{prefix, strings.TrimRight(prefix, "/") + "/"}
	case "method":
		return method(r.texts(inner, place))
	case "client":
		return client(r.networks(inner, place))
	case "tag":
		name := r.text(inner, place)
		if read, err := gray.Parse(name); err != nil || read.Len() != 1 || !read.Has(name) {
			r.fail("%s is not a tag", place)
		}
		r.table.asksTags = true
		return tag(name)
	case "within":
		return r.spans(inner, place)
	case "share":
		return share(r.whole(inner, place, Full))
	}
	r.fail("%s is not known", place)
	return not{}
}

func (r *reader) conditions(value any, place string, depth int) []condition {
	var found []condition
	for at, one := range r.list(value, place) {
		found = append(found, r.condition(one, fmt.Sprintf("%s[%d]", place, at), depth+1))
	}
	return found
}

func (r *reader) named(kind string, value any, place string) condition {
	doc := r.object(value, place, map[string]bool{"name": true, "value": true})
	name, wanted := r.text(doc["name"], place+".name"), r.text(doc["value"], place+".value")
	switch kind {
	case "header":
		return headerIs{lookedFor(name), wanted}
	case "cookie":
		return cookieIs{name, wanted}
	}
	return queryIs{name, wanted}
}

func (r *reader) spans(value any, place string) condition {
	var found within
	for at, one := range r.list(value, place) {
		here := fmt.Sprintf("%s[%d]", place, at)
		pair := r.list(one, here)
		if len(pair) != 2 {
			r.fail("%s is not from and until", here)
			return not{}
		}
		found = append(found, [2]float64{r.number(pair[0], here+"[0]"), r.number(pair[1], here+"[1]")})
	}
	return found
}

func (r *reader) networks(value any, place string) networks {
	var found networks
	for at, text := range r.texts(value, place) {
		one, fine := network(text)
		if !fine {
			r.fail("%s[%d] %q is not a network", place, at, text)
		}
		found = append(found, one)
	}
	return found
}

// object reads one with these keys and no others; a key that may not be missing is true.
func (r *reader) object(value any, place string, keys map[string]bool) map[string]any {
	doc, is := value.(map[string]any)
	if !is {
		r.fail("%s is not an object", place)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if _, there := doc[key]; keys[key] && is && !there {
			r.fail("%s.%s is missing", place, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		if _, known := keys[key]; !known {
			r.fail("%s.%.60s is not known", place, key)
		}
	}
	return doc
}

func (r *reader) list(value any, place string) []any {
	found, is := value.([]any)
	if !is {
		r.fail("%s is not a list", place)
	}
	return found
}

func (r *reader) text(value any, place string) string {
	found, is := value.(string)
	if !is {
		r.fail("%s is not a string", place)
	}
	return found
}

func (r *reader) texts(value any, place string) []string {
	var found []string
	for at, one := range r.list(value, place) {
		found = append(found, r.text(one, fmt.Sprintf("%s[%d]", place, at)))
	}
	return found
}

func (r *reader) number(value any, place string) float64 {
	written, _ := value.(json.Number)
	found, err := written.Float64()
	if err != nil {
		r.fail("%s is not a number", place)
	}
	return found
}

func (r *reader) whole(value any, place string, most int) int {
	found := r.number(value, place)
	if found != math.Trunc(found) || found < 0 || found > float64(most) {
		r.fail("%s is not a whole number from 0 to %d", place, most)
		return 0
	}
	return int(found)
}
