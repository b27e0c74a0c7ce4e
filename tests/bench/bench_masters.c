#include "tests/bench/bench_masters.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench_load.h"
#include "tests/bench/bench_nodes.h"

#define WRITE_WAIT_US 120000000u
#define START_WAIT_US 300000000u
#define RETRY_MS      5

void masters_add(struct masters *m, const char *text)
{
    struct bench_master *b = &m->items[m->count++];
    int pid;
    if (m->count > MASTERS_MAX || sscanf(text, "%d,%63[^,],%255s", &pid, b->address, b->dir) != 3) {
        bench_die(text, "PID,ADDRESS,DIR of a master");
    }
    b->pid = pid;
}

struct bench_master *masters_connected(struct masters *m)
{
    const char *address = m->kit->sessions_count == 0 ? "" : rpc_session_peer_addr(m->kit->sessions[0]);
    for (unsigned i = 0; i < m->count; i++) {
        if (strcmp(m->items[i].address, address) == 0) {
            return &m->items[i];
        }
    }
    return NULL;
}

double master_rss_mb(const struct bench_master *b)
{
    char path[64], line[200];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)b->pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL && sscanf(line, "VmRSS: %ld", &kib) != 1) {
    }
    if (f != NULL) {
        fclose(f);
    }
    return (double)kib / 1024;
}

int64_t master_counter(struct masters *m, const struct bench_master *b, const char *name)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    struct error err;
    int64_t value = -1;
    struct rpc_session *s = kit_connect(m->kit, b->address);
    if (kit_call(m->kit, s, "cluster", NULL, &out, &err) == 0) {
        value = mp_int(mp_get(mp_get(mp_of(out.data, out.size), "stats"), name), -1);
    }
    rpc_session_close(s);
    return value;
}

uint64_t master_cpu_spent(struct bench_master *b)
{
    uint64_t now = kit_cpu_us(b->pid), spent = now - b->cpu_us;
    b->cpu_us = now;
    return spent;
}

/* ---- The end of one, and its return ---- */

/* Asks those that are given by turns until one does it. */
static double until_done(struct masters *m, const struct bench_master *const *whom, unsigned count, const char *method,
                         const struct buf *params, uint64_t wait_us)
{
    uint64_t start = kit_now_us();
    for (unsigned i = 0;; i++) {
        struct error err;
        struct rpc_session *s = kit_connect(m->kit, whom[i % count]->address);
        int rv = kit_call(m->kit, s, method, params, NULL, &err);
        rpc_session_close(s);
        if (rv == 0 || rv == ERR_EXISTS) { /* an answer may have got lost */
            return (double)(kit_now_us() - start) / 1e6;
        }
        if (kit_now_us() - start > wait_us) {
            bench_die(method, err.message);
        }
        if (count == 1 && waitpid(whom[0]->pid, NULL, WNOHANG) == whom[0]->pid) {
            bench_die(method, "the master that was started has ended; its log says why");
        }
        uv_sleep(RETRY_MS);
    }
}

double master_kill_to_write(struct masters *m, struct bench_master *b, const char *ns)
{
    const struct bench_master *others[MASTERS_MAX];
    unsigned count = 0;
    CLEANUP_BUF struct buf params = BUF_INIT;
    for (unsigned i = 0; i < m->count; i++) {
        if (&m->items[i] != b) {
            others[count++] = &m->items[i];
        }
    }
    if (count == 0) {
        bench_die("failover", "there is one master alone");
    }
    load_object_params(&params, ns, "after-the-leader", LOAD_VALUE, kit_now_us());
    kill(b->pid, SIGKILL);
    return until_done(m, others, count, "create", &params, WRITE_WAIT_US);
}

double master_start_to_read(struct masters *m, struct bench_master *b, const char *ns)
{
    const struct bench_master *whom[] = {b};
    CLEANUP_BUF struct buf params = BUF_INIT;
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) {
        bench_die("restart", "no process");
    }
    if (pid == 0) {
        char log[300];
        snprintf(log, sizeof log, "%s.log", b->dir);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent && freopen(log, "a", stdout) != NULL && dup2(1, 2) == 2) {
            execl(m->program, m->program, "run", "--dir", b->dir, (char *)NULL);
        }
        _exit(127);
    }
    b->pid = pid;
    b->cpu_us = 0;
    mp_write_map(&params, 3);
    mp_write_key_str(&params, "kind", STR("ConfigMap"));
    mp_write_key_str(&params, "namespace", str_of(ns));
    mp_write_key_str(&params, "name", STR("after-the-leader"));
    return until_done(m, whom, 1, "get", &params, START_WAIT_US);
}
