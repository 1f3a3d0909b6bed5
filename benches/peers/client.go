// Pushes the time of the last success with the Go client.
package main

import (
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
)

func main() {
	success := prometheus.NewGauge(prometheus.GaugeOpts{Name: "last_success_timestamp_seconds", Help: "When."})
	success.SetToCurrentTime()
	if err := push.New(os.Args[1], "go").Collector(success).Push(); err != nil {
		panic(err)
	}
}
