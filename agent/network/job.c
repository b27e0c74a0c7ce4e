/* A pod's network: one job per ADD or DEL, a chain of steps. The owner is noted before the first step and forgotten
 * after the last (network/owner.c).
 *
 *   ADD: [rules, link deleted, if something may be there of an attempt that was cut off]
 *        ->  address and link  ->  rules, if there are host ports
 *   DEL: rules without it, if there were host ports  ->  link deleted, address given back
 * An address is given back only after no rule leads to it any more, and after the link that had it is gone. A failed
 * ADD is undone by a DEL before its callback, so that no lease leaks. Links are made and deleted on threads of their
 * own (podlink.h). The rules are one text, made from all owners: changes that come while nft runs are written together
 * by its next run. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/network/leases.h"
#include "agent/network/network_int.h"
#include "agent/network/podlink.h"
#include "agent/runtime/process.h"
#include "agent/util/defer.h"
#include "agent/util/fsutil.h"
#include "base/failpoint.h"
#include "proto/facts/cidr.h"

enum job_step { STEP_STALE_RULES, STEP_STALE_DEL, STEP_ADD, STEP_RULES, STEP_DEL, STEP_END };

struct job {
    struct list link;
    struct network *n;
    enum job_step step;
    bool undo; /* a failed ADD: the error stays that of the ADD */
    char *uid, *name, *ns, *netns;
    char wish[INET_ADDRSTRLEN]; /* "" = any address */
    struct aside_work work;     /* of link */
    struct podlink link_of;
    int link_rc;
    struct error link_error;
    struct network_owner *owner; /* NULL once it is forgotten */
    char ip[64];
    int rc;
    struct error error;
    network_add_cb *add_cb;
    network_done_cb *done_cb;
    void *data;
};

static void free_all(void *data)
{
    struct network *n = data;
    void (*cb)(void *arg) = n->close_cb;
    void *close_data = n->close_data;
    free(n->dir);
    free(n->bridge);
    free(n->cluster_cidr);
    network_owners_close(&n->owners);
    network_peers_free(n);
    network_watch_free(n);
    free(n);
    if (cb != NULL) {
        cb(close_data);
    }
}

void network_release(struct network *n)
{
    if (--n->holders > 0) {
        return;
    }
    if (n->aside != NULL) {
        aside_close(n->aside, free_all, n);
    } else {
        free_all(n);
    }
}

/* ---- Running the chain ---- */

static void job_run(struct job *j);

static void job_free(struct job *j)
{
    struct network *n = j->n;
    free(j->uid);
    free(j->name);
    free(j->ns);
    free(j->netns);
    free(j);
    network_release(n);
}

static void job_end(struct job *j)
{
    const struct error *e = j->rc == 0 ? NULL : &j->error;
    if (j->add_cb != NULL) {
        j->add_cb(e == NULL ? j->ip : NULL, e, j->data);
    } else if (j->done_cb != NULL) {
        j->done_cb(e, j->data);
    }
    job_free(j);
}

static void job_end_deferred(void *data)
{
    job_end(data);
}

/* Pods whose host ports lead from the node's own loopback address, too. */
static void open_loopback(const struct network *n)
{
    struct error err;
    CLEANUP_FREE char *path = xasprintf("/proc/sys/net/ipv4/conf/%s/route_localnet", n->bridge);
    if (fs_write_value(path, "1", &err) != 0) {
        log_warn(n->log, "network", "host ports do not answer on 127.0.0.1: %s", err.message);
    }
}

static void undo(struct job *j)
{
    bool in_rules = j->owner->ports_count > 0 && j->owner->ip[0] != '\0';
    j->undo = j->owner->leaving = true;
    j->step = in_rules ? STEP_RULES : STEP_DEL;
}

static void link_added(struct job *j)
{
    struct network *n = j->n;
    uint32_t be = htonl(j->link_of.ip);
    failpoint(FAILPOINT_network_after_link);
    if (j->rc == 0) {
        inet_ntop(AF_INET, &be, j->ip, sizeof j->ip);
        snprintf(j->owner->ip, sizeof j->owner->ip, "%s", j->ip);
        j->rc = network_owners_keep(&n->owners, j->owner, &j->error);
    }
    if (j->rc != 0) {
        undo(j);
    } else if (j->owner->ports_count > 0) {
        open_loopback(n);
        j->step = STEP_RULES;
    } else {
        j->step = STEP_END;
    }
}

static void link_deleted(struct job *j)
{
    uint32_t at = 0;
    if (j->link_rc == 0) { /* otherwise it stays known, and is tried again */
        cidr_parse_address(str_of(j->owner->ip), &at);
        leases_give(j->n->owners.leases, j->uid, at);
        network_owners_forget(TAKE_PTR(j->owner), &j->n->owners);
    } else if (!j->undo && j->rc == 0) {
        j->rc = j->link_rc;
        j->error = j->link_error;
    }
    j->step = STEP_END;
}

/* What an attempt left that was cut off. While its link is there, the address is nobody else's: it stays taken, and the
 * next attempt comes by here again. */
static void stale_deleted(struct job *j)
{
    if (j->link_rc == 0) {
        leases_give(j->n->owners.leases, j->uid, 0);
        j->step = STEP_ADD;
        return;
    }
    j->rc = j->link_rc;
    j->error = j->link_error;
    j->step = STEP_END;
}

static void link_done(struct aside_work *w, bool ran)
{
    struct job *j = CONTAINER_OF(w, struct job, work);
    if (!ran) {
        j->link_rc = error_set(&j->link_error, ERR_CANCELED, "the agent is stopping, or cannot start a thread");
    }
    switch (j->step) {
    case STEP_STALE_DEL:
        stale_deleted(j);
        break;
    case STEP_ADD:
        j->rc = j->link_rc;
        j->error = j->link_error;
        link_added(j);
        break;
    default:
        link_deleted(j);
        break;
    }
    job_run(j);
}

static void run_link(struct aside_work *w)
{
    struct job *j = CONTAINER_OF(w, struct job, work);
    bool add = j->step == STEP_ADD;
    j->link_rc = (add ? podlink_make : podlink_delete)(&j->link_of, &j->link_error);
}

/* An address of another range cannot be had, and what is none is not for a file's name. */
static uint32_t possible_wish(const struct job *j)
{
    struct cidr range;
    uint32_t at;
    return cidr_parse(str_of(j->n->pod_cidr), &range) && cidr_parse_address(str_of(j->wish), &at) &&
                   cidr_contains(range, at)
               ? at
               : 0;
}

static int take_address(struct job *j)
{
    struct network *n = j->n;
    struct podlink *l = &j->link_of;
    uint32_t wish = possible_wish(j);
    int rc = ERR_EXISTS;
    if (wish != 0) {
        rc = leases_take(n->owners.leases, l->range, j->uid, wish, &l->ip, &j->error);
        if (rc != 0) {
            log_info(n->log, "network", "pod %s/%s cannot have %s again: %s", j->ns, j->name, j->wish,
                     j->error.message);
        }
    }
    return rc == 0 ? 0 : leases_take(n->owners.leases, l->range, j->uid, 0, &l->ip, &j->error);
}

static void link_refused(void *data)
{
    struct job *j = data;
    link_added(j);
    job_run(j);
}

static void start_link(struct job *j)
{
    const struct network *n = j->n;
    struct podlink *l = &j->link_of;
    *l = (struct podlink){.mtu = network_pods_mtu(n)};
    snprintf(l->uid, sizeof l->uid, "%s", j->uid);
    snprintf(l->netns, sizeof l->netns, "%s", j->netns);
    snprintf(l->bridge, sizeof l->bridge, "%s", n->bridge);
    cidr_parse(str_of(n->pod_cidr), &l->range);
    if (j->step == STEP_ADD) {
        j->rc = take_address(j);
        if (j->rc != 0) {
            defer_call(n->loop, link_refused, j);
            return;
        }
    }
    aside_run(n->aside, &j->work, run_link, link_done);
}

static void job_run(struct job *j)
{
    switch (j->step) {
    case STEP_ADD:
    case STEP_STALE_DEL:
    case STEP_DEL:
        start_link(j);
        return;
    case STEP_STALE_RULES:
    case STEP_RULES:
        list_push_back(&j->n->rules_waiting, &j->link);
        network_rules_run(j->n);
        return;
    case STEP_END:
        job_end(j);
        return;
    }
}

/* ---- The rules ---- */

static void rules_written_for(struct job *j, int rc, const struct error *err)
{
    struct error late;
    failpoint(FAILPOINT_network_after_rules);
    if (rc != 0 && !j->undo && j->step != STEP_STALE_RULES) {
        j->rc = rc;
        j->error = *err;
    }
    if (rc == 0 && network_conntrack_forget(j->owner->ports, j->owner->ports_count, &late) != 0) {
        log_warn(j->n->log, "network", "pod %s: %s", j->uid, late.message);
    }
    if (j->step == STEP_STALE_RULES) {
        j->step = STEP_STALE_DEL;
    } else if (j->add_cb != NULL && !j->undo) { /* a pod that comes */
        j->step = STEP_END;
        if (rc != 0) {
            undo(j);
        }
    } else {
        j->step = rc == 0 ? STEP_DEL : STEP_END;
    }
    job_run(j);
}

static void rules_written(struct process *p, const struct process_result *r, void *data)
{
    struct network *n = data;
    struct error err = {0};
    struct list batch;
    (void)p;
    int rc = process_result_error(r, "nft", &err);
    if (rc != 0) {
        log_warn(n->log, "network", "host ports and the way out of the cluster are not as they should be: %s",
                 err.message);
    }
    n->rules_running = false;
    list_init(&batch);
    while (!list_empty(&n->rules_batch)) {
        struct list *first = n->rules_batch.next;
        list_remove(first);
        list_push_back(&batch, first);
    }
    network_rules_run(n);
    while (!list_empty(&batch)) {
        struct job *j = LIST_ENTRY(batch.next, struct job, link);
        list_remove(&j->link);
        rules_written_for(j, rc, &err);
    }
    network_release(n);
}

/* Repeatable: the text says what the whole shall be. */
void network_rules_run(struct network *n)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    const char *argv[] = {"nft", "-f", "-", NULL};
    if (n->rules_running || (!n->rules_dirty && list_empty(&n->rules_waiting))) {
        return;
    }
    while (!list_empty(&n->rules_waiting)) {
        struct list *first = n->rules_waiting.next;
        list_remove(first);
        list_push_back(&n->rules_batch, first);
    }
    n->rules_dirty = false;
    n->rules_running = true;
    n->holders++;
    network_rules_write(&text, &(struct network_rules){n->bridge, n->pod_cidr, n->cluster_cidr, &n->owners.list,
                                                       n->closed, n->closed_count, n->names});
    process_run(n->loop, &(struct process_spec){.argv = argv, .input = buf_str(&text), .timeout_ms = NETWORK_PLUGIN_MS},
                rules_written, n);
}

/* ---- Orders ---- */

static struct job *job_new(struct network *n, const char *uid, const char *name, const char *ns, const char *netns)
{
    assert(uid[0] != '\0' && strchr(uid, '/') == NULL && !n->closing);
    struct job *j = xcalloc(1, sizeof *j);
    j->n = n;
    j->uid = xstrdup(uid);
    j->name = xstrdup(name == NULL ? "" : name);
    j->ns = xstrdup(ns == NULL ? "" : ns);
    j->netns = xstrdup(netns == NULL ? "" : netns);
    list_init(&j->link);
    n->holders++;
    return j;
}

static void hollow_address(struct network *n, char ip[64])
{
    struct cidr range;
    uint32_t base = 10u << 24, size = 1u << 24;
    if (cidr_parse(str_of(n->pod_cidr), &range)) {
        base = range.first;
        size = range.bits == 0 ? UINT32_MAX : (uint32_t)cidr_size(range);
    }
    uint32_t at = htonl(base + (size > 4 ? 2 + n->hollow_next++ % (size - 3) : 0));
    inet_ntop(AF_INET, &at, ip, 64);
}

/* An owner that is known already is what an attempt left that was cut off. */
static void take_owner(struct job *j, const struct network_pod *pod)
{
    struct network *n = j->n;
    struct network_owner *former = network_owners_find(&n->owners, j->uid);
    j->step = former == NULL ? STEP_ADD : former->ports_count > 0 ? STEP_STALE_RULES : STEP_STALE_DEL;
    if (former != NULL) {
        network_owners_forget(former, &n->owners);
    }
    j->owner = network_owners_add(&n->owners, j->uid, pod->ports, MIN(pod->ports_count, NETWORK_PORTS_MAX), &j->error);
    j->rc = j->owner == NULL ? j->error.code : 0;
}

void network_add(struct network *n, const struct network_pod *pod, network_add_cb *cb, void *data)
{
    struct job *j = job_new(n, pod->uid, pod->name, pod->ns, pod->netns);
    snprintf(j->wish, sizeof j->wish, "%.*s", (int)sizeof j->wish - 1, pod->wish == NULL ? "" : pod->wish);
    j->add_cb = cb;
    j->data = data;
    if (n->hollow) {
        if (possible_wish(j) != 0) {
            memcpy(j->ip, j->wish, sizeof j->wish);
        } else {
            hollow_address(n, j->ip);
        }
        defer_call(n->loop, job_end_deferred, j);
        return;
    }
    take_owner(j, pod);
    if (j->rc != 0) {
        defer_call(n->loop, job_end_deferred, j);
    } else if (n->pod_cidr[0] == '\0') {
        list_push_back(&n->waiting, &j->link);
    } else {
        job_run(j);
    }
}

static void forget_waiting(struct network *n, const char *uid)
{
    LIST_FOR_SAFE(it, &n->waiting)
    {
        struct job *w = LIST_ENTRY(it, struct job, link);
        if (strcmp(w->uid, uid) == 0) {
            list_remove(it);
            if (w->step == STEP_ADD) {
                network_owners_forget(TAKE_PTR(w->owner), &n->owners);
            }
            w->rc = error_set(&w->error, ERR_CANCELED, "the pod is being deleted");
            defer_call(n->loop, job_end_deferred, w);
        }
    }
}

void network_del(struct network *n, const char *uid, const char *netns, network_done_cb *cb, void *data)
{
    struct job *j = job_new(n, uid, NULL, NULL, netns);
    j->done_cb = cb;
    j->data = data;
    if (!n->hollow) {
        forget_waiting(n, uid);
        j->owner = network_owners_find(&n->owners, uid);
    }
    if (j->owner == NULL || n->pod_cidr[0] == '\0') {
        defer_call(n->loop, job_end_deferred, j);
        return;
    }
    j->owner->leaving = true;
    j->step = j->owner->ports_count > 0 ? STEP_RULES : STEP_DEL;
    job_run(j);
}

bool network_next(struct network *n, unsigned *cursor, char uid[64])
{
    unsigned at = 0;
    for (struct list *it = n->hollow ? NULL : n->owners.list.next; it != NULL && it != &n->owners.list; it = it->next) {
        if (at++ == *cursor) {
            snprintf(uid, 64, "%s", LIST_ENTRY(it, struct network_owner, link)->uid);
            (*cursor)++;
            return true;
        }
    }
    return false;
}

void network_jobs_go(struct network *n)
{
    while (!list_empty(&n->waiting)) {
        struct job *j = LIST_ENTRY(n->waiting.next, struct job, link);
        list_remove(&j->link);
        job_run(j);
    }
}

void network_jobs_cancel(struct network *n)
{
    while (!list_empty(&n->waiting)) {
        struct job *j = LIST_ENTRY(n->waiting.next, struct job, link);
        list_remove(&j->link);
        j->rc = error_set(&j->error, ERR_CANCELED, "the agent is stopping");
        job_end(j);
    }
}
