#include "tests/fault/trial.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/fault/judge.h"
#include "tests/fault/kit.h"

#define WARM_UP_MS 1000
#define REST_MS    1500
#define SHORT_MS   2000
/* of a client's call; every second client gives up early, so that there are unknown outcomes */
#define CALL_MS      5000
#define HASTY_MS     700
#define STEADY_MS    15000 /* of a call where every one must be answered */
#define PATIENT_MS   30000 /* of a call when all is healed */
#define STEADY_S     600   /* one election in so long */
#define RECOVERY_MS  90000 /* generous: the machine may be busy */
#define SETTLE_MS    90000
#define END_MS       30000
#define EXIT_REMOVED 3 /* what a master that was removed ends with */
#define POLL_MS      20
#define LOOK_MS      20

/* ---- Saying ---- */

static void say(struct trial *t, const char *mark, const char *text)
{
    double s = (double)(fault_now_us() - t->start_us) / 1e6;
    fprintf(t->events, "%8.3f s  %s%s\n", s, mark, text);
    fflush(t->events);
    if (t->config.talk) {
        printf("%8.3f s  %s%s\n", s, mark, text);
        fflush(stdout);
    }
}

void trial_say(struct trial *t, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    say(t, "", text);
}

void trial_fail(struct trial *t, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    say(t, "FAIL  ", text);
    if (t->result->passed) {
        snprintf(t->result->note, sizeof t->result->note, "%.*s", (int)sizeof t->result->note - 1, text);
    }
    t->result->passed = false;
}

/* ---- Waiting ---- */

/* A process that has ended by itself is a failure, unless the fault is one that may end it; it is started again, so
 * that the rest is tried. */
static void look_after(struct trial *t)
{
    int status;
    unsigned lost;
    while ((lost = cluster_lost(&t->cluster, &status)) != 0) {
        struct cluster_member *m = &t->cluster.members[lost - 1];
        const char *how = WIFSIGNALED(status) ? "signal" : "exit";
        int code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
        if (m->gone && !WIFSIGNALED(status) && code == EXIT_REMOVED) {
            trial_say(t, "m%u has heard that it was removed, and has stopped", lost);
            continue;
        }
        if (m->may_end && !WIFSIGNALED(status)) {
            trial_say(t, "m%u ended, as it may with its disk hurt: %s %d", lost, how, code);
            continue; /* the fault's stop starts it */
        }
        trial_fail(t, "m%u ended by itself: %s %d; see m%u.log", lost, how, code, lost);
        cluster_start(&t->cluster, lost - 1);
    }
    if (t->agents != NULL && agents_lost(t->agents, &status)) {
        trial_fail(t, "the agents ended by themselves: status %d; see agents.log", status);
        agents_start(t->agents);
    }
}

void trial_wait(struct trial *t, int64_t ms)
{
    int64_t end_us = fault_now_us() + ms * 1000;
    for (;;) {
        look_after(t);
        int64_t left_ms = (end_us - fault_now_us()) / 1000;
        if (left_ms <= 0) {
            return;
        }
        fault_sleep_ms(MIN(left_ms, LOOK_MS));
    }
}

/* ---- Phases ---- */

static void run_faults(struct trial *t)
{
    const struct nemesis *n = t->config.nemesis;
    int64_t end_us = fault_now_us() + t->config.seconds * 1000000;
    trial_wait(t, WARM_UP_MS);
    do {
        int64_t left_ms = MAX((end_us - fault_now_us()) / 1000, n->hold_min_ms);
        /* Every second one is short: what happens in the seconds after a fault happens more often than what happens
         * in a long one. */
        int64_t most_ms = rng_below(&t->rng, 2) == 0 ? n->hold_max_ms : MIN(n->hold_max_ms, n->hold_min_ms + SHORT_MS);
        int64_t hold_ms = n->hold_min_ms + (int64_t)rng_below(&t->rng, (uint64_t)(most_ms - n->hold_min_ms + 1));
        t->result->faults++;
        n->start(t);
        trial_wait(t, MIN(hold_ms, left_ms));
        n->stop(t);
        trial_wait(t, REST_MS / 2 + (int64_t)rng_below(&t->rng, REST_MS));
    } while (fault_now_us() < end_us);
}

/* From healing to the first write that is answered; -1 = none in time. */
static int64_t recover(struct trial *t)
{
    int64_t start_us = fault_now_us();
    for (int64_t n = 0; fault_now_us() - start_us < RECOVERY_MS * 1000; n++) {
        CLEANUP_ARENA struct arena a;
        CLEANUP_REPLY struct api_reply reply = {0};
        int code;
        arena_init(&a);
        look_after(t);
        struct value *object = client_object(&a, arena_printf(&a, "probe-%lld", (long long)n), "probe", "", 0);
        if (client_write(t->main, &a, "create", client_object_params(&a, object), &reply, &code) == HIST_OK) {
            return (fault_now_us() - start_us) / 1000;
        }
        fault_sleep_ms(POLL_MS);
    }
    return -1;
}

/* All masters answer, with one revision and one state. */
static int64_t settle(struct trial *t)
{
    int64_t start_us = fault_now_us();
    struct cluster *c = &t->cluster;
    for (;;) {
        struct cluster_view views[CLUSTER_MEMBERS_MAX] = {0};
        bool equal = true, answered = true;
        int first = -1;
        look_after(t);
        for (unsigned i = 0; i < c->count; i++) {
            if (cluster_member_in(c, i)) {
                answered &= cluster_ask(c, i, &views[i]);
                first = first < 0 ? (int)i : first;
                equal &= views[i].revision == views[first].revision && views[i].voters == cluster_size(c);
            }
        }
        for (unsigned i = 0; i < c->count && equal && answered; i++) {
            if (cluster_member_in(c, i) && strcmp(views[i].hash, views[first].hash) != 0) {
                trial_fail(t, "at revision %lld m%d has state %s and m%u has state %s", (long long)views[i].revision,
                           first + 1, views[first].hash, i + 1, views[i].hash);
            }
        }
        if (equal && answered) {
            return (fault_now_us() - start_us) / 1000;
        }
        if (fault_now_us() - start_us > SETTLE_MS * 1000) {
            for (unsigned i = 0; i < c->count; i++) {
                if (cluster_member_in(c, i)) {
                    trial_say(t, "m%u: leader %lld, term %lld, revision %lld, %u voters", i + 1,
                              (long long)views[i].leader, (long long)views[i].term, (long long)views[i].revision,
                              views[i].voters);
                }
            }
            return -1;
        }
        fault_sleep_ms(POLL_MS);
    }
}

/* Who was removed has been told so, or is told by whom it asks, and has stopped by itself. */
static void wait_removed(struct trial *t)
{
    int64_t end_us = fault_now_us() + SETTLE_MS * 1000;
    for (unsigned i = 0; i < t->cluster.count; i++) {
        struct cluster_member *m = &t->cluster.members[i];
        while (m->gone && m->pid != 0 && fault_now_us() < end_us) {
            trial_wait(t, POLL_MS);
        }
        if (m->gone && m->pid != 0) {
            trial_fail(t, "m%u was removed and goes on all the same", i + 1);
        }
    }
}

static void end_masters(struct trial *t)
{
    wait_removed(t);
    for (unsigned i = 0; i < t->cluster.count; i++) {
        int status = cluster_stop(&t->cluster, i, END_MS);
        if (status != 0) {
            trial_fail(t, "m%u did not end in order when asked: %s %d", i + 1,
                       status == -1 ? "not within 30 s, status" : "status", status);
        }
    }
}

static void set_up(struct trial *t)
{
    const struct trial_config *conf = &t->config;
    const struct cluster_config cluster = {
        .dir = conf->dir,
        .program = conf->program,
        .shim = conf->nemesis->needs & NEED_SHIM ? conf->shim : NULL,
        .masters = conf->masters,
        .isolated = conf->root,
        .relayed = (conf->nemesis->needs & NEED_RELAY) != 0,
        .disk_type = conf->nemesis->needs & NEED_DISK ? DISK_OWN : DISK_PLAIN,
    };
    cluster_up(&t->cluster, &cluster);
    t->main = xcalloc(1, sizeof *t->main);
    client_open(t->main, t, conf->workload->clients, PATIENT_MS);
    trial_say(t, "%u masters are up", conf->masters);
    if (conf->workload->set_up != NULL) {
        conf->workload->set_up(t);
    }
}

static int64_t latest_term(struct trial *t)
{
    int64_t term = 0;
    for (unsigned i = 0; i < t->cluster.count; i++) {
        struct cluster_view v;
        if (cluster_ask(&t->cluster, i, &v)) {
            term = MAX(term, v.term);
        }
    }
    return term;
}

static void judge_steady(struct trial *t, int64_t term_before)
{
    int64_t elections = latest_term(t) - term_before, allowed = 1 + t->config.seconds / STEADY_S;
    trial_say(t, "elections: %lld", (long long)elections);
    if (elections > allowed) {
        trial_fail(t, "nobody ended, and there were %lld elections in %lld s", (long long)elections,
                   (long long)t->config.seconds);
    }
}

static void work(struct trial *t)
{
    const struct workload *w = t->config.workload;
    const bool steady = t->config.nemesis->steady;
    int64_t term_before = latest_term(t);
    for (unsigned i = 0; i < w->clients; i++) {
        client_open(&t->clients[i], t, i, steady ? STEADY_MS : i % 2 == 0 ? CALL_MS : HASTY_MS);
    }
    for (unsigned i = 0; i < w->clients; i++) {
        client_start(&t->clients[i]);
    }
    run_faults(t);
    t->config.nemesis->stop(t);
    t->healing = true;
    trial_say(t, "healed");
    t->result->recovery_ms = recover(t);
    if (t->result->recovery_ms < 0) {
        trial_fail(t, "no write was answered within %d s of healing", RECOVERY_MS / 1000);
    }
    if (steady) {
        judge_steady(t, term_before);
    }
    trial_wait(t, WARM_UP_MS);
    __atomic_store_n(&t->stop, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < w->clients; i++) {
        client_join(&t->clients[i]);
    }
}

void trial_run(const struct trial_config *config, struct trial_result *result)
{
    struct trial *t = xcalloc(1, sizeof *t);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    t->config = *config;
    t->result = result;
    t->rng.state = config->seed;
    t->start_us = fault_now_us();
    *result = (struct trial_result){.passed = true, .recovery_ms = -1, .settle_ms = -1};
    hist_init(&t->hist);
    t->events = fopen(arena_printf(&a, "%s/events", config->dir), "we");
    if (t->events == NULL) {
        fault_die(config->dir, NULL);
    }
    set_up(t);
    work(t);
    if (config->workload->finish != NULL) {
        config->workload->finish(t);
    }
    hist_join(&t->hist, &t->main->hist);
    result->settle_ms = settle(t);
    if (result->settle_ms < 0) {
        trial_fail(t, "the masters are not equal %d s after the end of all work", SETTLE_MS / 1000);
    }
    end_masters(t);
    judge(t);
    cluster_down(&t->cluster);
    result->finished = true;
    fclose(t->events);
}
