module gopub.test/service

go 1.22
