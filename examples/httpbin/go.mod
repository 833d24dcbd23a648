module example.org/httpbin

go 1.24

require github.com/mccutchen/go-httpbin/v2 v2.18.3
