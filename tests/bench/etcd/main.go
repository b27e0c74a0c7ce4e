// One load of an etcd cluster, as bench_cluster makes it of Reeve's: N requests in flight over 8 connections to the leader, on 2000 keys
// with values of 256 bytes.
//
// usage: bench_etcd -endpoints URL,URL,URL [-seconds S] [-value BYTES] writes|gets|gets-stale|watch|range|fill|stall N
// prints: bench etcd_WHAT_N V 1/s, bench etcd_WHAT_N_p50 V ms, ...: the same lines as bench_cluster, each with etcd_ before it
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
)

var valueBytes = 256

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
	for i := 0; i < len(b); {
		for bits, j := r.Uint64(), 0; j < 12 && i < len(b); j, bits = j+1, bits/26 {
			b[i] = byte('a' + bits%26)
			i++
		}
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

// fill makes count keys, so that gets find them and writes replace them.
func fill(clients []*clientv3.Client, count uint64, put func(*clientv3.Client, *rand.Rand, uint64) error) {
	var next uint64
	var wait sync.WaitGroup
	for i := 0; i < 256; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			r := rand.New(rand.NewSource(int64(i)))
			for k := atomic.AddUint64(&next, 1); k <= count; k = atomic.AddUint64(&next, 1) {
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

func putUnder(prefix string) func(*clientv3.Client, *rand.Rand, uint64) error {
	return func(c *clientv3.Client, r *rand.Rand, i uint64) error {
		_, err := c.Put(context.Background(), fmt.Sprintf("%s%06d", prefix, i), value(r))
		return err
	}
}

// benchRange lists a prefix with n keys, whole.
func benchRange(clients []*clientv3.Client, n int) {
	prefix, rounds := fmt.Sprintf("/range-%d/", n), 50
	if n > 10000 {
		rounds = 5
	}
	fill(clients, uint64(n), putUnder(prefix))
	var took []time.Duration
	start := time.Now()
	for i := 0; i < rounds; i++ {
		from := time.Now()
		resp, err := clients[0].Get(context.Background(), prefix, clientv3.WithPrefix())
		if err != nil || len(resp.Kvs) != n {
			fail("range of %d: %v", n, err)
		}
		took = append(took, time.Since(from))
	}
	fmt.Printf("bench etcd_range_%d %.0f objects/s\n", n, float64(n*rounds)/time.Since(start).Seconds())
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	fmt.Printf("bench etcd_range_%d_p50 %.3g ms\n", n, float64(took[len(took)/2])/1e6)
}

// benchWatch has n watchers of one prefix spread over all members: one write a round, then 16 in flight.
func benchWatch(endpoints []string, clients []*clientv3.Client, n int, length time.Duration) {
	const watchKeys = 64
	put := func(c *clientv3.Client, r *rand.Rand, i uint64) error {
		_, err := c.Put(context.Background(), fmt.Sprintf("/watch/%06d", i%watchKeys), value(r))
		return err
	}
	var watching []*clientv3.Client
	for i := 0; i < 2*len(endpoints); i++ {
		watching = append(watching, connect(endpoints[i%len(endpoints)]))
	}
	arrived := make(chan time.Time, 4*n)
	var events uint64
	var counting int32
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := 0; i < n; i++ {
		ch := watching[i%len(watching)].Watch(ctx, "/watch/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		if first := <-ch; !first.Created {
			fail("watch not created")
		}
		go func() {
			for w := range ch {
				now := time.Now()
				if atomic.LoadInt32(&counting) != 0 {
					atomic.AddUint64(&events, uint64(len(w.Events)))
				} else {
					for range w.Events {
						arrived <- now
					}
				}
			}
		}()
	}
	var took []time.Duration
	r := rand.New(rand.NewSource(1))
	for round := 0; round < 200; round++ {
		start := time.Now()
		if err := put(clients[0], r, uint64(round)); err != nil {
			fail("%v", err)
		}
		for i := 0; i < n; i++ {
			took = append(took, (<-arrived).Sub(start))
		}
	}
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	fmt.Printf("bench etcd_watch_%d_p50 %.3g ms\n", n, float64(took[len(took)/2])/1e6)
	fmt.Printf("bench etcd_watch_%d_p99 %.3g ms\n", n, float64(took[len(took)*99/100])/1e6)
	atomic.StoreInt32(&counting, 1)
	start := time.Now()
	writes := uint64(len(run(clients, 16, length, put)))
	for end := start.Add(length + time.Minute); atomic.LoadUint64(&events) < writes*uint64(n) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("bench etcd_watch_%d_events %.0f 1/s\n", n, float64(atomic.LoadUint64(&events))/time.Since(start).Seconds())
}

func printStall(took []time.Duration, length time.Duration) {
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	fmt.Printf("bench etcd_stall_writes %.0f 1/s\n", float64(len(took))/length.Seconds())
	for _, q := range []struct {
		name string
		p    float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}} {
		fmt.Printf("bench etcd_stall_%s %.3g ms\n", q.name, float64(took[int(q.p*float64(len(took)-1))])/1e6)
	}
}

func main() {
	endpoints := flag.String("endpoints", "", "client URLs of all members")
	seconds := flag.Float64("seconds", 5, "how long")
	flag.IntVar(&valueBytes, "value", valueBytes, "bytes of a value")
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
	stale := func(c *clientv3.Client, r *rand.Rand, i uint64) error {
		_, err := c.Get(context.Background(), keyName(i), clientv3.WithSerializable())
		return err
	}
	once := map[string]func(*clientv3.Client, *rand.Rand, uint64) error{"writes": put, "gets": get, "gets-stale": stale,
		"watch": put, "range": put, "fill": put, "stall": put}[what]
	if once == nil || n < 1 || *endpoints == "" || *seconds <= 0 {
		fmt.Fprintln(os.Stderr, "usage: bench_etcd -endpoints URL,URL,URL [-seconds S] [-value BYTES] writes|gets|gets-stale|watch|range|fill|stall N")
		os.Exit(2)
	}
	members := strings.Split(*endpoints, ",")
	leader := leaderOf(members)
	var clients []*clientv3.Client
	for i := 0; i < connections; i++ {
		clients = append(clients, connect(leader))
	}
	length := time.Duration(*seconds * float64(time.Second))
	switch what {
	case "range":
		benchRange(clients, n)
		return
	case "watch":
		benchWatch(members, clients, n, length)
		return
	case "fill":
		start := time.Now()
		fill(clients, uint64(n), putUnder("/fill/"))
		fmt.Printf("bench etcd_fill_%d %.0f objects/s\n", n, float64(n)/time.Since(start).Seconds())
		return
	}
	fill(clients, keys, put)
	if what == "stall" {
		start := time.Now()
		printStall(run(clients, n, length, put), time.Since(start))
		return
	}
	run(clients, n, length/5, once)
	start := time.Now()
	took := run(clients, n, length, once)
	name := strings.Replace(what, "gets-stale", "stale_gets", 1)
	if valueBytes != 256 {
		name += fmt.Sprintf("_%db", valueBytes)
	}
	print(fmt.Sprintf("%s_%d", name, n), took, time.Since(start))
	for _, c := range clients {
		c.Close()
	}
}
