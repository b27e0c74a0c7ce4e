#include "tests/fault/agents.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "tests/fault/kit.h"
#include "tests/fault/rollout.h"

#define JOIN_MS 60000

static const char *log_path(struct agents *a)
{
    return arena_printf(&a->cluster->arena, "%s/agents.log", a->dir);
}

const char *agents_journal(struct arena *arena, const struct agents *a, unsigned node)
{
    return arena_printf(arena, "%s/agents/%u/journal.jsonl", a->dir, node);
}

void agents_start(struct agents *a)
{
    if (a->pid == 0) {
        const char *argv[] = {
            a->program,  "run",    "--dir",          arena_printf(&a->cluster->arena, "%s/agents", a->dir),
            "--runtime", "hollow", "--hollow-nodes", arena_printf(&a->cluster->arena, "%u", a->nodes),
            NULL};
        a->pid = cluster_spawn(a->cluster, AGENTS_PORT, log_path(a), argv, NULL);
    }
}

bool agents_up(struct agents *a, struct cluster *c, const char *dir, const char *program, unsigned nodes)
{
    *a = (struct agents){.cluster = c, .dir = dir, .program = program, .nodes = nodes};
    CLEANUP_BUF struct buf masters = BUF_INIT;
    for (unsigned i = 0; i < c->count; i++) {
        buf_printf(&masters, "%s%s", i > 0 ? "," : "", c->members[i].address);
    }
    const char *token = cluster_token(c, "node", a->nodes, 0), *token_path = arena_printf(&c->arena, "%s/token", dir);
    if (c->isolated) {
        fabric_add(&c->fabric, AGENTS_PORT);
    }
    if (token == NULL) {
        return false;
    }
    fault_write_file(token_path, token);
    const char *argv[] = {program,
                          "join",
                          "--dir",
                          arena_printf(&c->arena, "%s/agents", dir),
                          "--name",
                          "node",
                          "--token-file",
                          token_path,
                          "--hollow-nodes",
                          arena_printf(&c->arena, "%u", nodes),
                          buf_cstr(&masters),
                          NULL};
    int status;
    pid_t pid = cluster_spawn(c, AGENTS_PORT, log_path(a), argv, NULL);
    if (!cluster_wait_end(pid, JOIN_MS, &status)) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        return false;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return false;
    }
    agents_start(a);
    return true;
}

/* What was only pretended is gone with the process, which could not write that down any more. */
static void write_lost(struct agents *a, unsigned node)
{
    FILE *f = fopen(agents_journal(&a->cluster->arena, a, node), "ae");
    if (f != NULL) {
        fputs(ROLLOUT_LOST, f);
        fclose(f);
    }
}

void agents_kill(struct agents *a)
{
    if (a->pid != 0) {
        kill(a->pid, SIGKILL);
        while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        a->pid = 0;
        for (unsigned i = 0; i < a->nodes; i++) {
            write_lost(a, i);
        }
    }
}

bool agents_lost(struct agents *a, int *status)
{
    if (a->pid == 0 || waitpid(a->pid, status, WNOHANG) != a->pid) {
        return false;
    }
    a->pid = 0;
    return true;
}
