/* Clients of the Kubernetes API: HTTP over TLS, a connection each, one request of it at a time. What goes wrong ends
 * the program with a message. */
#ifndef TESTS_BENCH_WEB_H
#define TESTS_BENCH_WEB_H

#include "proto/net/net.h"
#include "tests/bench/bench_kit.h"

struct web {
    struct web_run *run;
    struct net_conn *conn;
    struct buf in;
    uint64_t sent_us;
    size_t seen;     /* of a watch: bytes that were looked at */
    bool busy, open; /* open: its first request is answered */
};
/* What all clients of one figure do. */
struct web_run {
    struct kit *k;
    struct web *webs;
    unsigned count, open, closed;
    bool all_open, all_closed, done;
    unsigned next, most, answered; /* requests begun, to be made, answered */
    uint64_t until_us;             /* 0: until `most` are answered */
    void (*ask)(struct web *w);    /* the next one; NULL: they are asked one by one */
    struct samples took;
    bool watches;
    unsigned told; /* watches that have heard of the change */
    const char *mark;
    struct net_tls *const *as; /* as whom they connect, by turns; `as_count` of them */
    unsigned as_count;
    bool tolerant;          /* refused connections and requests are counted only */
    unsigned refused, lost; /* requests, the first one among them; connections before they were open */
    void *data;             /* of whoever asks */
};

void web_die(const char *what, const char *detail) __attribute__((noreturn));
/* All of them open, or the program ends. web_run_close waits until they are closed, and frees what they hold. */
void web_run_open(struct web_run *r, struct kit *k, const char *address, unsigned count);
/* The same of several identities, by turns: one may have 512 connections (proto/net/gate.h). */
void web_run_open_as(struct web_run *r, struct kit *k, const char *address, unsigned count, struct net_tls *const *as,
                     unsigned as_count);
/* The same, tolerant: those that the master does not take are closed. */
void web_run_open_some(struct web_run *r, struct kit *k, const char *address, unsigned count);
void web_run_close(struct web_run *r);
/* All clients at once: for some time, or until so many are answered. Returns microseconds. */
uint64_t web_run_all(struct web_run *r, void (*ask)(struct web *w), double seconds, unsigned most);
/* head: a request line and headers, without the last line's end; the answer is waited for by others. */
void web_send(struct web *w, const char *head, struct str body);
/* One request of one client, waited for; its answer stays in w->in. */
void web_one(struct web *w, const char *head, struct str body);

#endif
