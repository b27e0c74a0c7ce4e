#include "tests/bench/bench_rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench_creates.h"
#include "tests/bench/bench_web.h"

#define LISTS   20u
#define CROWD   400u /* without other identities... */
#define EACH    500u /* ...or of each: it may have 512 connections (proto/net/gate.h) */
#define CHANGES 50u

/* ---- Gets ---- */

static void ask_get(struct web *w)
{
    char head[96];
    snprintf(head, sizeof head, "GET /api/v1/namespaces/rest/pods/p-%05u HTTP/1.1", 1 + w->run->next % CREATES_PODS);
    web_send(w, head, STR_NONE);
}

/* ---- Lists ---- */

static void settle(struct kit *k, uint64_t ms)
{
    uint64_t end = kit_now_us() + ms * 1000;
    while (kit_now_us() < end) {
        uv_run(&k->loop, UV_RUN_NOWAIT);
        uv_sleep(5);
    }
}

static void tell_list(const char *name, const char *what, double value, const char *unit)
{
    char text[64];
    snprintf(text, sizeof text, "rest_list_%u_%s%s", CREATES_PODS, name, what);
    kit_line(text, value, unit);
}

static void bench_list(struct web *w, const char *name, const char *headers, const pid_t *masters)
{
    char head[256];
    snprintf(head, sizeof head, "GET /api/v1/namespaces/rest/pods?resourceVersion=0 HTTP/1.1%s", headers);
    web_one(w, head, STR_NONE);
    w->run->took.count = 0;
    struct creates_cpu before = creates_cpu(masters);
    for (unsigned i = 0; i < LISTS; i++) {
        web_one(w, head, STR_NONE);
    }
    struct creates_cpu after = creates_cpu(masters);
    tell_list(name, "", samples_percentile(&w->run->took, 0.5) / 1000.0, "ms");
    tell_list(name, "_cpu", (double)(after.leader_us - before.leader_us) / LISTS / 1000.0, "ms");
    tell_list(name, "_bench_cpu", (double)(after.bench_us - before.bench_us) / LISTS / 1000.0, "ms");
    tell_list(name, "_size", (double)w->in.size / 1e6, "MB");
}

static void bench_lists(struct web *w, const pid_t *masters)
{
    bench_list(w, "json", "", masters);
    bench_list(w, "table", "\r\nAccept: application/json;as=Table;v=v1;g=meta.k8s.io", masters);
    bench_list(w, "gzip", "\r\nAccept-Encoding: gzip", masters);
}

void bench_rest_lists(struct kit *k, unsigned clients, const pid_t *masters)
{
    struct web_run r, alone;
    char *address = kit_leader_address(k);
    kit_connect_leader(k);
    web_run_open(&alone, k, address, 1);
    web_run_open(&r, k, address, clients);
    creates_run(k, &r, "", masters);
    web_run_close(&r);
    bench_lists(&alone.webs[0], masters);
    web_run_close(&alone);
    kit_disconnect(k);
    free(address);
}

/* ---- What does nothing, and watches ---- */

static double resident_kib(pid_t pid)
{
    char path[64], text[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(text, sizeof text, f) != NULL) {
        if (sscanf(text, "VmRSS: %lf", &kib) == 1) {
            break;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib;
}

static void ask_version(struct web *w)
{
    web_send(w, "GET /version HTTP/1.1", STR_NONE);
}

static void tell_crowd(unsigned count, const char *what, double value, const char *unit)
{
    char text[64];
    snprintf(text, sizeof text, "rest_watch_%u_%s", count, what);
    kit_line(text, value, unit);
}

static void bench_crowd(struct kit *k, struct web *writer, const char *address, pid_t leader, struct net_tls *const *as,
                        unsigned as_count)
{
    struct web_run crowd;
    unsigned count = as_count == 0 ? CROWD : as_count * EACH;
    double before = resident_kib(leader);
    web_run_open_as(&crowd, k, address, count, as, as_count);
    web_run_all(&crowd, ask_version, 0, count);
    settle(k, 2000);
    double idle = resident_kib(leader);
    kit_line("rest_idle_connection", (idle - before) / count, "KiB");
    crowd.watches = true;
    for (unsigned i = 0; i < count; i++) {
        web_send(&crowd.webs[i], "GET /api/v1/namespaces/rest/configmaps?watch=1&resourceVersion=0 HTTP/1.1", STR_NONE);
    }
    settle(k, 2000);
    kit_line("rest_idle_watch", (resident_kib(leader) - idle) / count, "KiB");
    web_one(writer, "POST /api/v1/namespaces/rest/configmaps HTTP/1.1", STR("{\"metadata\":{\"name\":\"seen\"}}"));
    settle(k, 1000);
    crowd.took.count = 0;
    uint64_t cpu = kit_cpu_us(leader);
    for (unsigned i = 0; i < CHANGES; i++) {
        char mark[32], body[96];
        snprintf(mark, sizeof mark, "change-%05u", i);
        snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"seen\"},\"data\":{\"k\":\"%s\"}}", mark);
        crowd.mark = mark;
        crowd.told = 0;
        crowd.done = false;
        for (unsigned j = 0; j < count; j++) {
            buf_reset(&crowd.webs[j].in);
            crowd.webs[j].sent_us = kit_now_us();
        }
        buf_reset(&writer->in);
        web_send(writer, "PUT /api/v1/namespaces/rest/configmaps/seen HTTP/1.1", str_of(body));
        kit_run(k, &crowd.done, 60000);
        crowd.mark = NULL;
    }
    cpu = kit_cpu_us(leader) - cpu;
    tell_crowd(count, "p50", samples_percentile(&crowd.took, 0.5) / 1000.0, "ms");
    tell_crowd(count, "p99", samples_percentile(&crowd.took, 0.99) / 1000.0, "ms");
    tell_crowd(count, "cpu", (double)cpu / CHANGES / count, "us");
    web_run_close(&crowd);
}

void bench_rest(struct kit *k, unsigned clients, double seconds, const pid_t *masters, const char *const *crowd,
                unsigned crowd_count)
{
    pid_t leader = masters[0];
    struct web_run r, alone;
    struct kit users[REST_CROWD_MAX];
    struct net_tls *as[REST_CROWD_MAX];
    for (unsigned i = 0; i < crowd_count; i++) {
        kit_open(&users[i], crowd[i]);
        as[i] = users[i].tls;
    }
    char *address = kit_leader_address(k);
    kit_connect_leader(k);
    web_run_open(&alone, k, address, 1);
    web_run_open(&r, k, address, clients);
    creates_run(k, &r, "", masters);
    web_run_all(&r, ask_get, seconds / 5, 0);
    struct creates_cpu cpu = creates_cpu(masters);
    creates_tell("rest_gets", clients, &r, web_run_all(&r, ask_get, seconds, 0), &cpu, masters);
    web_run_close(&r);
    bench_lists(&alone.webs[0], masters);
    bench_crowd(k, &alone.webs[0], address, leader, as, crowd_count);
    web_run_close(&alone);
    for (unsigned i = 0; i < crowd_count; i++) {
        kit_close(&users[i]);
    }
    kit_disconnect(k);
    free(address);
}
