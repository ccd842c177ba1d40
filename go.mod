module github.com/kingly-os/go-kernel

go 1.26
