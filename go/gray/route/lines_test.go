package route

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"testing"
)

// TestLines answers the cases of a file, one JSON object in a line: {"table", "requests"} in, [[track, rule], …] out;
// {"targets"} in, [[path, query], …] out, [] for one that is none.
// gopub's tests hand the same cases to the edge's Lua and to Python; without the file there is nothing to do.
func TestLines(t *testing.T) {
	cases, answers := os.Getenv("GRAY_ROUTE_CASES"), os.Getenv("GRAY_ROUTE_ANSWERS")
	if cases == "" {
		t.Skip("GRAY_ROUTE_CASES names no file")
	}
	in, err := os.Open(cases)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(answers)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		text, err := json.Marshal(answer(t, lines.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(append(text, '\n')); err != nil {
			t.Fatal(err)
		}
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
}

func answer(t *testing.T, line []byte) [][]string {
	t.Helper()
	var one struct {
		Table    json.RawMessage
		Targets  []string
		Requests []struct {
			Address, Method, Path, Query string
			Headers                      [][2]string
			At                           float64
		}
	}
	if err := json.Unmarshal(line, &one); err != nil {
		t.Fatal(err)
	}
	said := [][]string{}
	for _, target := range one.Targets {
		if path, query, err := Target(target); err != nil {
			said = append(said, []string{})
		} else {
			said = append(said, []string{path, query})
		}
	}
	if one.Table == nil {
		return said
	}
	table, err := Parse(one.Table)
	if err != nil {
		t.Fatalf("%v: %s", err, one.Table)
	}
	for _, asked := range one.Requests {
		header := http.Header{}
		for _, field := range asked.Headers {
			header.Add(field[0], field[1])
		}
		decision := table.Decide(Request{asked.Address, header, asked.At, asked.Method, asked.Path, asked.Query})
		said = append(said, []string{decision.Track, decision.Rule})
	}
	return said
}
