/* Nodes as agents are: each with its certificate, its connection and its streams, over the real protocol; all of one
 * process, without containers. A pod runs as soon as its node hears of it, and is gone as soon as it is to go. */
#ifndef TESTS_BENCH_NODES_H
#define TESTS_BENCH_NODES_H

#include "tests/bench/bench_kit.h"

#define NODES_WAIT_MS 3600000

struct fleet;
struct fake_pod {
    char ns[24], name[72], uid[40];
    unsigned reports; /* how many were sent; 0: nobody knows that it runs */
    bool unready;     /* what was said of it last */
    bool known;       /* a report of it was taken */
    bool leaving;     /* it is to go */
    bool told;        /* and that it has gone was said */
};
struct fake {
    struct fleet *fleet;
    struct rpc_session *rpc;
    char name[16];
    struct fake_pod *pods;
    unsigned count, cap;
    unsigned next; /* the caller's: the pod that is reported next */
    unsigned due;  /* pods of which something is to be said */
    bool busy;     /* a report is under way */
    bool changes;  /* the master tells what has changed of routes */
    bool quiet;    /* as the agent, it does not want to hear what it said itself */
    bool registered;
    bool counted; /* among those that have registered once */
    bool routed;  /* it has got the list of all routes */
    bool back;    /* on its way back: registering again */
    struct net_tls *tls;
};

struct fleet_config {
    struct kit *kit;
    unsigned nodes;
    unsigned first;     /* number of the first one: other processes may have those before */
    unsigned zones;     /* nodes are of so many in turn (topology.kubernetes.io/zone); 0: of none. Else the kit is
                           connected to the leader */
    unsigned capacity;  /* pods of a node; 0: 110 */
    bool spread;        /* each master serves its part of the nodes; else all are the first one's */
    bool no_routes;     /* they do not ask for the ways to other nodes */
    bool comes_back;    /* a node whose master goes away registers at another; else that ends the program */
    const char *ca_dir; /* with ca.crt and ca.key */
};
struct fleet {
    struct fleet_config config;
    struct fake *nodes;
    unsigned count, ready, next, inflight;
    unsigned labelled, routed, back;
    unsigned failures; /* registrations that were refused, or cut off */
    /* Sums since the start: pods that nodes were told of, whose running was taken, and that are gone. */
    uint64_t ordered, running, gone;
    uint64_t events, refs, routes; /* of streams; the caller may set them to 0 */
    uint64_t serial;               /* of reports */
    bool hold;                     /* nodes do not report what they are told */
    bool done;
    bool following;                                 /* streams were opened: who comes back opens its own */
    bool ending;                                    /* connections may close */
    void (*on_change)(struct fleet *f, void *data); /* behind each change of the sums; may be NULL */
    void *data;
    uv_timer_t beat;
    unsigned beat_at; /* node whose turn it is to send a heartbeat, */
    uint64_t beat_us; /* and when one did last */
};

/* All are registered when it returns, follow what is theirs and have heard of all routes, if they ask for them: half a
 * megabyte for each of 5,000 nodes, which would be sent meanwhile. Ends the program if that fails. */
void fleet_open(struct fleet *f, const struct fleet_config *c);
/* Reports what was held back. */
void fleet_release(struct fleet *f);
unsigned fleet_registered(const struct fleet *f); /* nodes that are at the moment */
/* Ends the program. */
void bench_die(const char *what, const char *why);
/* One call with YAML parameters. */
void bench_call(struct rpc_session *s, const char *method, rpc_result_cb *cb, void *data, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void bench_must(const struct rpc_result *r, const char *what);
/* A report of pods [from, to) of the node: parameters of node.status. */
void fake_write_report(struct buf *b, struct fake *n, unsigned from, unsigned to);
/* Ends the program if a pod's status was refused. */
void fake_check_results(const struct rpc_result *r);

#endif
