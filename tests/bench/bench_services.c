/* The dataplane of services in a network namespace of its own: from nothing, one change, a restart, after somebody's
 * flush, which has to be mended, or passes by.
 * usage: bench_services [SERVICES...] (default: 5000 50000), five endpoints each; root. */
#include "agent/service/services.h"
#include "base/env.h"

#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ENDPOINTS   5u
#define CHANGES     200u
#define DEADLINE_US 120000000u

struct bench {
    uv_loop_t loop;
    struct log log;
    struct services *services;
    unsigned count;
    bool owns; /* the table is its own, where the kernel can do so */
};

static uint64_t now_us(void)
{
    return uv_hrtime() / 1000;
}

/* On a core, of all threads: what the kernel does for a request is in it, what other programs do is not. */
static uint64_t core_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_services: %s\n", what);
    exit(1);
}

static void line(const char *what, unsigned services, double value, const char *unit)
{
    fflush(stdout);
    printf("bench services_%u_%s %.3g %s\n", services, what, value, unit);
}

static struct services_stats settle(struct bench *b)
{
    struct services_stats st;
    uint64_t until = now_us() + DEADLINE_US;
    for (;;) {
        uv_run(&b->loop, UV_RUN_NOWAIT);
        services_get_stats(b->services, &st);
        if (st.settled) {
            return st;
        }
        if (now_us() > until) {
            die("the kernel does not get there");
        }
        usleep(100); /* a thread may be reading what is there */
    }
}

/* Generation g of a service differs in one endpoint. */
static void put(struct bench *b, unsigned i, unsigned g)
{
    char key[48];
    struct service_endpoint list[ENDPOINTS];
    snprintf(key, sizeof key, "default/service-%u:http", i);
    for (unsigned k = 0; k < ENDPOINTS; k++) {
        list[k] = (struct service_endpoint){
            .ip = 0x0af40000u + (i * ENDPOINTS + k) % 60000 + (k == 0 ? g : 0), .port = 8080, .ready = true};
        list[k].serving = true;
    }
    services_put(b->services, &(struct service_port){.key = key,
                                                     .protocol = IPPROTO_TCP,
                                                     .cluster_ip = 0x0a600001u + i,
                                                     .port = 80,
                                                     .endpoints = list,
                                                     .endpoints_count = ENDPOINTS});
}

static void start(struct bench *b)
{
    struct error err = {0};
    struct skeleton_ranges r = {.pods_count = 1, .services_count = 1};
    cidr_parse(STR("10.244.0.0/16"), &r.pods[0]);
    cidr_parse(STR("10.96.0.0/12"), &r.services[0]);
    if (services_new(&b->loop, &b->log, b->owns, &b->services, &err) != 0) {
        die(err.message);
    }
    services_set_ranges(b->services, &r);
    services_set_addresses(b->services, (uint32_t[]){0xc0a80701u}, 1);
}

static void stop(struct bench *b, bool remove)
{
    services_close(b->services, remove, NULL, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double rss_mb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1) {
        die("/proc/self/statm");
    }
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void load(struct bench *b)
{
    double before_mb = rss_mb();
    uint64_t t0 = now_us(), core0 = core_us();
    for (unsigned i = 0; i < b->count; i++) {
        put(b, i, 0);
    }
    uint64_t told = core_us();
    services_begin(b->services);
    struct services_stats st = settle(b);
    line("from_nothing", b->count, (double)(now_us() - t0) / 1000, "ms");
    line("from_nothing_core", b->count, (double)(core_us() - core0) / 1000, "ms");
    line("from_nothing_decided", b->count, (double)(told - core0) / 1000, "ms");
    line("from_nothing_longest", b->count, (double)st.longest_us / 1000, "ms");
    line("memory", b->count, rss_mb() - before_mb, "MB");
}

static void change_one(struct bench *b)
{
    double took[CHANGES];
    for (unsigned i = 0; i < CHANGES; i++) {
        uint64_t t0 = now_us();
        put(b, i * 7 % b->count, 1 + i);
        settle(b);
        took[i] = (double)(now_us() - t0) / 1000;
    }
    qsort(took, CHANGES, sizeof *took, by_size);
    line("one_endpoint_p50", b->count, took[CHANGES / 2], "ms");
    line("one_endpoint_p99", b->count, took[CHANGES * 99 / 100], "ms");
}

/* All of it, in the parts in which it is asked for over ten minutes. */
static void verify(struct bench *b)
{
    struct services_stats st;
    uint64_t core0 = core_us(), longest_us = 0;
    services_get_stats(b->services, &st);
    for (size_t all = st.elements; st.verified < all; services_get_stats(b->services, &st)) {
        uint64_t part_us = core_us();
        services_verify(b->services);
        longest_us = MAX(longest_us, core_us() - part_us);
        if (st.mends > 0) {
            die("the kernel has something else");
        }
    }
    line("verified_core", b->count, (double)(core_us() - core0) / 1000, "ms");
    line("verified_longest", b->count, (double)longest_us / 1000, "ms");
}

static void restart(struct bench *b)
{
    stop(b, false);
    start(b);
    for (unsigned i = 0; i < b->count; i++) {
        put(b, i, 0);
    }
    uint64_t t0 = now_us(), core0 = core_us();
    services_begin(b->services);
    settle(b);
    line("taken_over", b->count, (double)(now_us() - t0) / 1000, "ms");
    line("taken_over_core", b->count, (double)(core_us() - core0) / 1000, "ms");
}

/* From the moment when the flush has happened. */
static void mend(struct bench *b)
{
    struct services_stats st, before;
    services_get_stats(b->services, &before);
    if (system("nft flush ruleset") != 0) {
        die("nft flush ruleset");
    }
    uint64_t t0 = now_us(), core0 = core_us();
    do {
        uv_run(&b->loop, UV_RUN_NOWAIT);
        services_get_stats(b->services, &st);
    } while (st.mends == before.mends);
    settle(b);
    line("mended", b->count, (double)(now_us() - t0) / 1000, "ms");
    line("mended_core", b->count, (double)(core_us() - core0) / 1000, "ms");
}

static void put_all(struct bench *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        put(b, i, 0);
    }
    services_begin(b->services);
}

/* A table that is its own, and somebody's flush: is all of it there, and what has it cost the agent? */
static void outlive(struct bench *b)
{
    struct services_stats st;
    stop(b, true);
    b->owns = true;
    start(b);
    put_all(b);
    settle(b);
    if (system("nft flush ruleset") != 0) {
        die("nft flush ruleset");
    }
    uint64_t core0 = core_us();
    for (unsigned i = 0; i < 100; i++) {
        uv_run(&b->loop, UV_RUN_NOWAIT);
    }
    line("flush_outlived_core", b->count, (double)(core_us() - core0) / 1000, "ms");
    services_get_stats(b->services, &st);
    for (size_t all = st.elements; st.verified < all && st.mends == 0; services_get_stats(b->services, &st)) {
        services_verify(b->services);
    }
    line("flush_mends", b->count, (double)st.mends, "times");
}

int main(int argc, char **argv)
{
    static const char *const usual[] = {"5000", "50000"};
    if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) {
        die("root is needed");
    }
    for (int i = 0; i < (argc > 1 ? argc - 1 : 2); i++) {
        struct bench b = {.log = {.name = "bench", .level = LOG_LEVEL_ERROR},
                          .count = (unsigned)strtoul(argc > 1 ? argv[i + 1] : usual[i], NULL, 10)};
        if (b.count == 0) {
            die("SERVICES is a number");
        }
        uv_loop_init(&b.loop);
        start(&b);
        load(&b);
        change_one(&b);
        verify(&b);
        restart(&b);
        mend(&b);
        outlive(&b);
        stop(&b, true);
        uv_loop_close(&b.loop);
    }
    return 0;
}
