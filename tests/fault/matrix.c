#include "tests/fault/matrix.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECONDS       8
#define SECONDS_SHORT 5
#define WORKS_A_FAULT 2u /* in the matrix; the one it is hardest for, and others in turn */

/* ---- Choosing ---- */

/* What every change runs. */
static const struct {
    const char *fault, *workload;
} brief[] = {
    {"kill-leader", "watch"}, {"stale-leader", "register"},   {"partition-leader", "append"},
    {"kill-all", "set"},      {"partition-one-way", "queue"}, {"power-all", "bank"},
    {"disk-error", "set"},    {"standstill", "register"},     {"kill-leader", "informer"},
};

static unsigned workloads(void)
{
    unsigned n = 0;
    while (workload_at(n) != NULL) {
        n++;
    }
    return n;
}

/* What this machine lacks for a fault; NULL: nothing. */
static const char *lacking(const struct nemesis *n, bool root)
{
    static const struct {
        unsigned need;
        const char *path, *what;
    } rows[] = {
        {NEED_DISK, "/dev/loop-control", "loop devices"},
        {NEED_DISK, "/sbin/mkfs.ext4", "mkfs.ext4 (package e2fsprogs)"},
        {NEED_BLKIO, "/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device", "cgroup v1's blkio.throttle"},
        {NEED_FABRIC, "/sbin/nft", "nft (package nftables)"},
        {NEED_FABRIC, "/sbin/ip", "ip (package iproute2)"},
        {NEED_RELAY, "/dev/net/tun", "TAP devices"},
    };
    if (!root && (n->needs & (NEED_FABRIC | NEED_DISK))) {
        return "root and namespaces of its own";
    }
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if ((n->needs & rows[i].need) && access(rows[i].path, F_OK) != 0) {
            return rows[i].what;
        }
    }
    return NULL;
}

static bool possible(const struct nemesis *n, bool root)
{
    const char *what = lacking(n, root);
    if (what != NULL) {
        printf("left out: %s needs %s\n", n->name, what);
    }
    return what == NULL;
}

static void add(struct matrix_row *rows, unsigned *count, const struct matrix_choice *c, const struct nemesis *n,
                const struct workload *w)
{
    if (*count == MATRIX_MAX) {
        return;
    }
    /* Every third cell has five masters: other majorities, other ways to be cut. */
    rows[*count] = (struct matrix_row){.nemesis = n,
                                       .workload = w,
                                       .seconds = c->seconds != 0 ? c->seconds
                                                  : c->brief      ? SECONDS_SHORT
                                                                  : SECONDS,
                                       .masters = c->masters != 0                ? c->masters
                                                  : *count % 3 == 2 && !c->brief ? 5
                                                                                 : 3};
    ++*count;
}

static unsigned choose_brief(const struct matrix_choice *c, bool root, struct matrix_row *rows)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(brief); i++) {
        const struct nemesis *n = nemesis_find(brief[i].fault);
        if (possible(n, root)) {
            add(rows, &count, c, n, workload_find(brief[i].workload));
        }
    }
    return count;
}

unsigned matrix_choose(const struct matrix_choice *c, bool root, struct matrix_row *rows)
{
    unsigned count = 0, next = 0, works = workloads();
    const struct nemesis *n;
    if (c->brief) {
        return choose_brief(c, root, rows);
    }
    for (unsigned i = 0; (n = nemesis_at(i)) != NULL; i++) {
        if ((c->nemesis != NULL && n != c->nemesis) || !possible(n, root)) {
            continue;
        }
        const struct workload *nodes = n->needs & NEED_AGENTS ? workload_find("deploy") : NULL;
        if (nodes != NULL && (c->workload == NULL || c->workload == nodes)) {
            add(rows, &count, c, n, nodes);
        }
        if (nodes != NULL) {
            continue;
        }
        /* A fault or a workload that was named meets all of the other. */
        unsigned want = c->workload != NULL ? 1 : c->nemesis != NULL ? works : WORKS_A_FAULT;
        const struct workload *best = want == WORKS_A_FAULT && n->best != NULL ? workload_find(n->best) : NULL;
        if (best != NULL) {
            add(rows, &count, c, n, best);
            want--;
        }
        for (unsigned k = 0; k < want; k++) {
            const struct workload *w = c->workload != NULL ? c->workload : workload_at(next++ % works);
            add(rows, &count, c, n, w != best ? w : workload_at(next++ % works));
        }
    }
    return count;
}

/* ---- Showing ---- */

void matrix_list(void)
{
    puts("faults:");
    for (unsigned i = 0; nemesis_at(i) != NULL; i++) {
        printf("  %-20s %s\n", nemesis_at(i)->name, nemesis_at(i)->about);
    }
    puts("workloads:");
    for (unsigned i = 0; workload_at(i) != NULL; i++) {
        printf("  %-20s %s\n", workload_at(i)->name, workload_at(i)->about);
    }
}

void matrix_print_head(void)
{
    printf("%-20s %-10s %7s %-7s %6s %8s %8s %8s %11s %9s\n", "FAULT", "WORKLOAD", "MASTERS", "OUTCOME", "FAULTS",
           "DONE", "REFUSED", "UNKNOWN", "RECOVERY_MS", "SETTLE_MS");
    fflush(stdout);
}

void matrix_print_row(const struct matrix_row *row)
{
    const struct trial_result *r = &row->result;
    printf("%-20s %-10s %7u %-7s %6u %8llu %8llu %8llu %11lld %9lld\n", row->nemesis->name, row->workload->name,
           row->masters, r->passed ? "ok" : "FAIL", r->faults, (unsigned long long)r->ok, (unsigned long long)r->failed,
           (unsigned long long)r->unknown, (long long)r->recovery_ms, (long long)r->settle_ms);
    if (!r->passed) {
        printf("  %s\n", r->note);
    }
    fflush(stdout);
}

void matrix_print_table(const struct matrix_row *rows, unsigned count)
{
    printf("\n%-20s", "");
    for (unsigned w = 0; workload_at(w) != NULL; w++) {
        printf(" %-9s", workload_at(w)->name);
    }
    putchar('\n');
    for (unsigned i = 0; nemesis_at(i) != NULL; i++) {
        bool any = false;
        char line[400] = "";
        for (unsigned w = 0; workload_at(w) != NULL; w++) {
            const char *cell = ".";
            for (unsigned k = 0; k < count; k++) {
                if (rows[k].ran && rows[k].nemesis == nemesis_at(i) && rows[k].workload == workload_at(w)) {
                    cell = rows[k].result.passed ? "ok" : "FAIL";
                    any = true;
                }
            }
            snprintf(line + strlen(line), sizeof line - strlen(line), " %-9s", cell);
        }
        if (any) {
            printf("%-20s%s\n", nemesis_at(i)->name, line);
        }
    }
    putchar('\n');
}
