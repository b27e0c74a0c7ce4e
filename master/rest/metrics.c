/* /metrics: what this master has counted, in Prometheus' text form 0.0.4.
 *
 * Each row of master_counters is a family of its own: `requestsOverRate` is reeve_requests_over_rate_total, and what is
 * a level has no _total. So a new counter is there by itself, and its sentence is the HELP. Beside them stands, under
 * the names that boards and alerts for Kubernetes look for: objects by resource, requests in flight, pods that wait for
 * a node, and the process. No family has a label whose values an object's author chooses. */
#include <ctype.h>
#include <stdio.h>

#include "base/usage.h"
#include "master/rest/call.h"
#include "master/rest/rest.h"

#define PREFIX "reeve_"
#define TYPE   "text/plain; version=0.0.4; charset=utf-8"

static void begin(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s ", name);
    for (const char *p = help; *p != '\0'; p++) {
        buf_puts(out, *p == '\\' ? "\\\\" : "");
        buf_putc(out, *p == '\n' ? ' ' : *p);
    }
    buf_printf(out, "\n# TYPE %s %s\n", name, type);
}

/* "turnLongestUs" -> "reeve_turn_longest_us" */
static void name_of(char *out, size_t size, const struct counter *c)
{
    size_t n = (size_t)snprintf(out, size, "%s", PREFIX);
    for (const char *p = c->name; *p != '\0' && n + 2 < size; p++) {
        if (isupper((unsigned char)*p)) {
            out[n++] = '_';
        }
        out[n++] = (char)tolower((unsigned char)*p);
    }
    snprintf(out + n, size - n, "%s", c->level ? "" : "_total");
}

static void write_rows(struct buf *out, const struct counters *rows)
{
    for (unsigned i = 0; i < rows->count; i++) {
        const struct counter *c = &rows->items[i];
        char name[128];
        name_of(name, sizeof name, c);
        begin(out, name, c->level ? "gauge" : "counter", c->help);
        buf_printf(out, "%s %llu\n", name, (unsigned long long)c->value);
    }
}

static uint64_t row_named(const struct counters *rows, const char *name)
{
    for (unsigned i = 0; i < rows->count; i++) {
        if (str_is(str_of(name), rows->items[i].name)) {
            return rows->items[i].value;
        }
    }
    return 0;
}

static void write_objects(struct buf *out, const struct view *v)
{
    begin(out, "apiserver_storage_objects", "gauge", "objects that are stored here, by resource");
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        struct str group = kind_group(k);
        buf_printf(out, "apiserver_storage_objects{resource=\"%s%s%.*s\"} %llu\n", k->plural, group.n > 0 ? "." : "",
                   STR_ARG(group), (unsigned long long)view_count(v, k));
    }
}

static void write_known(struct buf *out, const struct counters *rows)
{
    uint64_t writes = row_named(rows, "writesBegun"), all = writes + row_named(rows, "readsBegun") +
                                                            row_named(rows, "listsBegun") +
                                                            row_named(rows, "streamsBegun");
    begin(out, "apiserver_current_inflight_requests", "gauge", "requests that have begun and have no answer yet");
    buf_printf(out, "apiserver_current_inflight_requests{request_kind=\"mutating\"} %llu\n",
               (unsigned long long)writes);
    buf_printf(out, "apiserver_current_inflight_requests{request_kind=\"readOnly\"} %llu\n",
               (unsigned long long)(all - writes));
    begin(out, "scheduler_pending_pods", "gauge", "pods that wait for a node, or for the rest of their gang");
    buf_printf(out, "scheduler_pending_pods{queue=\"unschedulable\"} %llu\n",
               (unsigned long long)row_named(rows, "podsParked"));
    buf_printf(out, "scheduler_pending_pods{queue=\"gated\"} %llu\n",
               (unsigned long long)row_named(rows, "podsGanged"));
}

static void write_raft(struct buf *out, const struct master *m, const struct replica_stats *s)
{
    const char *address;
    begin(out, PREFIX "raft_has_leader", "gauge", "1 while this master knows who leads");
    buf_printf(out, PREFIX "raft_has_leader %d\n", replica_leader(m->replica, &address) != 0);
    begin(out, PREFIX "raft_is_leader", "gauge", "1 while this master leads");
    buf_printf(out, PREFIX "raft_is_leader %d\n", replica_leading(m->replica));
    begin(out, PREFIX "raft_term", "gauge", "the term that this master is in");
    buf_printf(out, PREFIX "raft_term %llu\n", (unsigned long long)replica_term(m->replica));
    begin(out, PREFIX "raft_commit_index", "gauge", "the newest entry of the log that is known to be committed");
    buf_printf(out, PREFIX "raft_commit_index %llu\n", (unsigned long long)s->commit_index);
    begin(out, PREFIX "store_revision", "gauge", "the newest revision that is committed here");
    buf_printf(out, PREFIX "store_revision %llu\n",
               (unsigned long long)view_revision(store_committed(replica_store(m->replica))));
}

static void write_process(struct buf *out)
{
    struct usage u;
    usage_now(&u);
    begin(out, "process_cpu_seconds_total", "counter", "seconds of CPU that this process has taken");
    buf_printf(out, "process_cpu_seconds_total %.6f\n", u.cpu_s);
    begin(out, "process_start_time_seconds", "gauge", "when this process started, in seconds since 1970");
    buf_printf(out, "process_start_time_seconds %.2f\n", u.started_s);
    begin(out, "process_resident_memory_bytes", "gauge", "bytes of memory that this process has");
    buf_printf(out, "process_resident_memory_bytes %llu\n", (unsigned long long)u.resident_bytes);
    begin(out, "process_virtual_memory_bytes", "gauge", "bytes of addresses that it has mapped");
    buf_printf(out, "process_virtual_memory_bytes %llu\n", (unsigned long long)u.virtual_bytes);
    begin(out, "process_open_fds", "gauge", "descriptors that it has open");
    buf_printf(out, "process_open_fds %u\n", u.descriptors);
    begin(out, "process_max_fds", "gauge", "descriptors that it may have open");
    buf_printf(out, "process_max_fds %u\n", u.descriptors_max);
}

void rest_write_metrics(struct master *m, struct buf *out)
{
    struct replica_stats stats;
    struct counters rows = {0};
    replica_stats(m->replica, &stats);
    master_counters(m, &stats, &rows);
    write_rows(out, &rows);
    write_raft(out, m, &stats);
    write_objects(out, store_committed(replica_store(m->replica)));
    write_known(out, &rows);
    write_process(out);
}

void rest_tell_metrics(struct rest_call *c)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    rest_write_metrics(c->e.api.m, &body);
    rest_answer(c, 200, TYPE, &body);
}
