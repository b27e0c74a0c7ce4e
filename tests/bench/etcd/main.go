// One load of an etcd cluster, as bench_cluster makes it of Reeve's: N requests in flight over 8 connections to the leader, on 2000 keys
// with values of 256 bytes.
//
// usage: bench_etcd -endpoints URL,URL,URL [-seconds S] writes|gets N
// prints: bench etcd_WHAT_N V 1/s, bench etcd_WHAT_N_p50 V ms, bench etcd_WHAT_N_p99 V ms
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/clientv3"
)

const (
	connections = 8
	keys        = 2000
	valueBytes  = 256
)

func fail(format string, args ...interface{}) {
	fmt.Fprintf(os.Stderr, "bench_etcd: "+format+"\n", args...)
	os.Exit(1)
}

func connect(endpoints ...string) *clientv3.Client {
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second})
	if err != nil {
		fail("%s: %v", endpoints, err)
	}
	return c
}

// leaderOf waits until the members know a leader and returns its endpoint.
func leaderOf(endpoints []string) string {
	c := connect(endpoints...)
	defer c.Close()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for _, e := range endpoints {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			s, err := c.Status(ctx, e)
			cancel()
			if err == nil && s.Leader != 0 && s.Leader == s.Header.MemberId {
				return e
			}
		}
	}
	fail("no leader")
	return ""
}

func keyName(i uint64) string { return fmt.Sprintf("/bench/%06d", i%keys) }

func value(r *rand.Rand) string {
	b := make([]byte, valueBytes)
	for i := range b {
		b[i] = byte('a' + r.Intn(26))
	}
	return string(b)
}

// run keeps n requests in flight until the time is over and returns how long each of them took.
func run(clients []*clientv3.Client, n int, length time.Duration, once func(*clientv3.Client, *rand.Rand, uint64) error) []time.Duration {
	var next uint64
	var all []time.Duration
	var lock sync.Mutex
	var wait sync.WaitGroup
	end := time.Now().Add(length)
	for i := 0; i < n; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			var mine []time.Duration
			r := rand.New(rand.NewSource(int64(i)))
			for now := time.Now(); now.Before(end); {
				if err := once(clients[i%len(clients)], r, atomic.AddUint64(&next, 1)); err != nil {
					fail("%v", err)
				}
				done := time.Now()
				mine = append(mine, done.Sub(now))
				now = done
			}
			lock.Lock()
			all = append(all, mine...)
			lock.Unlock()
		}(i)
	}
	wait.Wait()
	return all
}

// fill makes all keys, so that gets find them and writes replace them.
func fill(clients []*clientv3.Client, put func(*clientv3.Client, *rand.Rand, uint64) error) {
	var next uint64
	var wait sync.WaitGroup
	for i := 0; i < 64; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			r := rand.New(rand.NewSource(int64(i)))
			for k := atomic.AddUint64(&next, 1); k <= keys; k = atomic.AddUint64(&next, 1) {
				if err := put(clients[i%len(clients)], r, k); err != nil {
					fail("%v", err)
				}
			}
		}(i)
	}
	wait.Wait()
}

func print(name string, took []time.Duration, length time.Duration) {
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	at := func(p float64) float64 { return float64(took[int(p*float64(len(took)-1))]) / 1e6 }
	fmt.Printf("bench etcd_%s %.0f 1/s\n", name, float64(len(took))/length.Seconds())
	fmt.Printf("bench etcd_%s_p50 %.3g ms\n", name, at(0.5))
	fmt.Printf("bench etcd_%s_p99 %.3g ms\n", name, at(0.99))
}

func main() {
	endpoints := flag.String("endpoints", "", "client URLs of all members")
	seconds := flag.Float64("seconds", 5, "how long")
	flag.Parse()
	what, n := flag.Arg(0), 0
	if flag.NArg() == 2 {
		n, _ = strconv.Atoi(flag.Arg(1))
	}
	put := func(c *clientv3.Client, r *rand.Rand, i uint64) error {
		_, err := c.Put(context.Background(), keyName(i), value(r))
		return err
	}
	get := func(c *clientv3.Client, r *rand.Rand, i uint64) error {
		_, err := c.Get(context.Background(), keyName(i)) // linearizable, as is etcd's default
		return err
	}
	once := map[string]func(*clientv3.Client, *rand.Rand, uint64) error{"writes": put, "gets": get}[what]
	if once == nil || n < 1 || *endpoints == "" || *seconds <= 0 {
		fmt.Fprintln(os.Stderr, "usage: bench_etcd -endpoints URL,URL,URL [-seconds S] writes|gets N")
		os.Exit(2)
	}
	leader := leaderOf(strings.Split(*endpoints, ","))
	var clients []*clientv3.Client
	for i := 0; i < connections; i++ {
		clients = append(clients, connect(leader))
	}
	fill(clients, put)
	length := time.Duration(*seconds * float64(time.Second))
	run(clients, n, length/5, once)
	start := time.Now()
	took := run(clients, n, length, once)
	print(fmt.Sprintf("%s_%d", what, n), took, time.Since(start))
	for _, c := range clients {
		c.Close()
	}
}
