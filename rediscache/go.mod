module github.com/postern-go/postern/rediscache

go 1.26.0

require (
	github.com/cenkalti/backoff/v5 v5.0.3
	github.com/postern-go/postern v0.0.0
	github.com/redis/rueidis v1.0.79
	github.com/sony/gobreaker/v2 v2.4.0
)

require golang.org/x/sys v0.47.0 // indirect

replace github.com/postern-go/postern => ../
