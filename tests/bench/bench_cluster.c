/* Figures of a running cluster, as a client sees them.
 *
 * usage: bench_cluster [--config FILE] [--seconds S] [--value BYTES] [--leader PID --ca DIR] WHAT N
 *   writes N          updates of 256-byte ConfigMaps with N in flight over 8 connections to the leader: 1/s, p50, p99
 *   patches N         merge patches of their value, likewise
 *   gets N            linearizable gets of them, N in flight
 *   gets-follower N   the same, asked of a master that does not lead
 *   gets-stale N      gets at the leader that need not be current
 *   watch N           N watchers of one namespace, spread over all masters: from the sending of a write to each
 *   watcher's event; then how many
 *                     events a second reach them while 16 writes are in flight
 *   range N           lists of a namespace with N objects
 *   fill N            N objects in a namespace of their own
 *   stall N           writes with N in flight and what snapshots do to them meanwhile
 *   catch-up PORT     until that master answers and has applied what was committed
 *   failover PID      kills that process (the leader's) and tells how long until the next acknowledged write
 *   rollout N         apply a Deployment of N replicas: until all pods are bound, until all are Running
 *   feeds N           N nodes with 30 pods each: what their reports cost the leader (--leader PID, --ca DIR), and all
 *                     masters (--peer PID, of each of the others); --spread: over all masters
 *   rest N            the Kubernetes API with N clients at the leader (--leader PID, --peer PID of the others); --crowd
 *                     CONFIG, of each user whose 500 watches are among those that one change is told to
 *   creates N         pods created and patched by N clients, likewise; --crowd CONFIG, of each user whose they are
 *   lists N           of rest: lists of 5,000 pods alone, which N clients have made (--leader PID)
 *   fair N            behind it: what others' requests take beside a greedy user (--greedy CONFIG); N is not used
 *   greedy-lists N, greedy-connections N   what that one does
 *   restart N         N pods, one after the other, on nodes of this machine: until Running, and from the kill of the
 *   container to Running again */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench_creates.h"
#include "tests/bench/bench_fair.h"
#include "tests/bench/bench_feeds.h"
#include "tests/bench/bench_load.h"
#include "tests/bench/bench_pods.h"
#include "tests/bench/bench_rest.h"
#include "tests/bench/bench_state.h"

/* ---- Failover ---- */

static void bench_failover(struct kit *k, pid_t leader)
{
    load_prepare(k, "bench", LOAD_KEYS, 0);
    kit_disconnect(k);
    kill(leader, SIGKILL);
    uint64_t start = kit_now_us();
    struct buf b = BUF_INIT;
    load_object_params(&b, "bench", "bench-000001", LOAD_VALUE, start);
    for (unsigned i = 0;; i++) {
        struct rpc_session *s = kit_connect(k, k->target.servers[i % k->target.servers_count]);
        struct error err;
        int rv = kit_call(k, s, "update", &b, NULL, &err);
        rpc_session_close(s);
        if (rv == 0) {
            break;
        }
        if (kit_now_us() - start > 30000000) {
            fprintf(stderr, "bench: no write for 30 s: %s\n", err.message);
            exit(1);
        }
        uv_sleep(5);
    }
    buf_close(&b);
    kit_line("leader_kill_to_write", (double)(kit_now_us() - start) / 1000.0, "ms");
}

static int usage(void)
{
    fprintf(
        stderr,
        "usage: bench_cluster [--config FILE] [--seconds S] [--value BYTES] [--leader PID --ca DIR] writes N | "
        "patches N | gets N | "
        "gets-follower N | gets-stale N | "
        "watch N | range N | fill N | stall N | catch-up PORT | failover PID | rollout N | feeds N | "
        "[--crowd FILE]... rest N | [--crowd FILE]... creates N | lists N | --greedy FILE fair N | greedy-lists N | "
        "greedy-connections N | restart N\n");
    return 2;
}

struct options {
    unsigned value_bytes;
    double seconds;
    pid_t leader;
    const char *ca_dir, *greedy, *crowd[REST_CROWD_MAX];
    unsigned crowd_count;
    pid_t peers[FEEDS_PEERS];
    unsigned peers_count, inflight;
    bool spread;
};

static int run(struct kit *k, const char *what, unsigned n, const struct options *o)
{
    const struct load_kind *kind = load_find(what);
    pid_t masters[FEEDS_PEERS + 2] = {o->leader};
    memcpy(masters + 1, o->peers, sizeof o->peers);
    if (kind != NULL) {
        load_bench(k, kind, n, o->value_bytes, o->seconds, masters);
        return 0;
    }
    if (strcmp(what, "watch") == 0) {
        bench_watch(k, n, 200, o->seconds);
    } else if (strcmp(what, "range") == 0) {
        bench_range(k, n, n > 10000 ? 5 : 50);
    } else if (strcmp(what, "fill") == 0) {
        bench_fill(k, n, o->value_bytes);
    } else if (strcmp(what, "stall") == 0) {
        bench_stall(k, n, o->seconds);
    } else if (strcmp(what, "catch-up") == 0) {
        bench_catch_up(k, n);
    } else if (strcmp(what, "failover") == 0) {
        bench_failover(k, (pid_t)n);
    } else if (strcmp(what, "rollout") == 0) {
        load_namespace(k, "bench");
        bench_rollout(k, n);
    } else if (strcmp(what, "feeds") == 0 && o->leader > 0 && o->ca_dir != NULL) {
        struct feeds_config c = {.name = o->peers[0] == 0 ? "feeds"
                                         : o->spread      ? "spread"
                                                          : "gathered",
                                 .nodes = n,
                                 .seconds = o->seconds,
                                 .leader = o->leader,
                                 .inflight = o->inflight,
                                 .spread = o->spread,
                                 .ca_dir = o->ca_dir};
        memcpy(c.peers, o->peers, sizeof c.peers);
        bench_feeds(k, &c);
    } else if (strcmp(what, "rest") == 0 && o->leader > 0) {
        bench_rest(k, n, o->seconds, masters, o->crowd, o->crowd_count);
    } else if (strcmp(what, "creates") == 0 && o->leader > 0) {
        bench_creates(k, n, masters, o->crowd, o->crowd_count);
    } else if (strcmp(what, "lists") == 0 && o->leader > 0) {
        bench_rest_lists(k, n, masters);
    } else if (strcmp(what, "fair") == 0 && o->greedy != NULL) {
        bench_fair(k, o->seconds, o->greedy);
    } else if (strcmp(what, "greedy-lists") == 0) {
        bench_greedy_lists(k, n);
    } else if (strcmp(what, "greedy-connections") == 0) {
        bench_greedy_connections(k, n);
    } else if (strcmp(what, "restart") == 0) {
        load_namespace(k, "bench");
        bench_restart(k, n);
    } else {
        return usage();
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"value", required_argument, NULL, 'v'},
                                            {"leader", required_argument, NULL, 'l'},
                                            {"ca", required_argument, NULL, 'a'},
                                            {"peer", required_argument, NULL, 'p'},
                                            {"greedy", required_argument, NULL, 'g'},
                                            {"spread", no_argument, NULL, 'd'},
                                            {"inflight", required_argument, NULL, 'i'},
                                            {"crowd", required_argument, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    const char *config = NULL;
    struct options o = {.seconds = 5};
    int c;
    while ((c = getopt_long(argc, argv, "c:s:v:l:a:g:p:di:r:", options, NULL)) != -1) {
        if (c == 'c') {
            config = optarg;
        } else if (c == 's') {
            o.seconds = strtod(optarg, NULL);
        } else if (c == 'v') {
            o.value_bytes = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 'l') {
            o.leader = (pid_t)strtol(optarg, NULL, 10);
        } else if (c == 'a') {
            o.ca_dir = optarg;
        } else if (c == 'p' && o.peers_count < FEEDS_PEERS) {
            o.peers[o.peers_count++] = (pid_t)strtol(optarg, NULL, 10);
        } else if (c == 'g') {
            o.greedy = optarg;
        } else if (c == 'r' && o.crowd_count < REST_CROWD_MAX) {
            o.crowd[o.crowd_count++] = optarg;
        } else if (c == 'i') {
            o.inflight = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 'd') {
            o.spread = true;
        } else {
            return usage();
        }
    }
    unsigned n = argc - optind == 2 ? (unsigned)strtoul(argv[optind + 1], NULL, 10) : 0;
    if (n == 0 || !(o.seconds > 0)) {
        return usage();
    }
    struct kit k;
    kit_open(&k, config);
    int rc = run(&k, argv[optind], n, &o);
    kit_close(&k);
    return rc;
}
