// Sends numbered events with Elastic's own client for Lumberjack v2 until each is acknowledged.
//
// Usage: lumberjack -address HOST:PORT -lines N [-window N] [-level N] [-spread DURATION]
//
// Windows are compressed, save for every eighth. What was not acknowledged, because the connection broke or timed out, is
// sent again over a new one, in windows of another length, as Beats do. The last line of the output is JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	lumber "github.com/elastic/go-lumber/client/v2"
)

type figures struct {
	Acknowledged int `json:"acknowledged"`
	Again        int `json:"again"`
	Partial      int `json:"partial"`
	Connections  int `json:"connections"`
}

func event(number int) map[string]interface{} {
	at := time.Date(2024, 1, 15, 10, 0, 0, 0, time.UTC).Add(time.Duration(number) * time.Millisecond)
	return map[string]interface{}{
		"@timestamp": at.Format("2006-01-02T15:04:05.000Z"),
		"@metadata":  map[string]string{"beat": "filebeat", "type": "_doc", "version": "8.11.0"},
		"message":    fmt.Sprintf("n%d", number),
		"log":        map[string]interface{}{"offset": number, "file": map[string]string{"path": "/var/log/shop.log"}},
		"kubernetes": map[string]interface{}{"container": map[string]string{"name": "shop"}},
		"host":       map[string]string{"name": "n1"},
	}
}

func main() {
	address := flag.String("address", "127.0.0.1:5044", "where logbraid listens")
	lines := flag.Int("lines", 100000, "events to send")
	window := flag.Int("window", 500, "events of a window")
	level := flag.Int("level", 3, "level of the compression")
	spread := flag.Duration("spread", 0, "how long all events should take")
	flag.Parse()

	var count figures
	began := time.Now()
	give := began.Add(10 * time.Minute)
	var client *lumber.SyncClient
	for sent, round := 0, 0; sent < *lines; round++ {
		if time.Now().After(give) {
			fmt.Fprintln(os.Stderr, "lumberjack: not all was acknowledged in ten minutes")
			os.Exit(1)
		}
		if client == nil || round%8 == 0 {
			if client != nil {
				client.Close()
			}
			compression := *level
			if round%16 == 8 {
				compression = 0
			}
			var err error
			client, err = lumber.SyncDial(*address, lumber.CompressionLevel(compression), lumber.Timeout(10*time.Second))
			if err != nil {
				client = nil
				time.Sleep(20 * time.Millisecond)
				continue
			}
			count.Connections++
		}
		length := *window/2 + (round*37)%(*window)
		if sent+length > *lines {
			length = *lines - sent
		}
		batch := make([]interface{}, length)
		for at := range batch {
			batch[at] = event(sent + at)
		}
		acknowledged, err := client.Send(batch)
		sent += acknowledged
		if err != nil {
			count.Again += length - acknowledged
			if acknowledged > 0 {
				count.Partial++
			}
			client.Close()
			client = nil
		}
		if due := time.Duration(float64(*spread) * float64(sent) / float64(*lines)); time.Since(began) < due {
			time.Sleep(due - time.Since(began))
		}
		count.Acknowledged = sent
	}
	if client != nil {
		client.Close()
	}
	text, err := json.Marshal(count)
	if err != nil {
		fmt.Fprintln(os.Stderr, "lumberjack:", err)
		os.Exit(1)
	}
	fmt.Println(string(text))
}
