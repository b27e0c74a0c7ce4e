/* A cluster of real master processes on loopback, to be killed: made in a directory of its own, without nodes, without root.
 *
 * The processes end with this one (PR_SET_PDEATHSIG), whatever becomes of it. Errors are fatal: a line on stderr, exit 1. */
#ifndef TESTS_FAULT_PROCESSES_H
#define TESTS_FAULT_PROCESSES_H

#include <sys/types.h>

#include "client/api.h"

#define FAULT_MASTERS 3u

struct processes {
    struct arena arena;
    char dir[512], program[512];
    struct {
        pid_t pid; /* 0 = down */
        uint16_t port;
        char address[64];
    } masters[FAULT_MASTERS];
    struct config_target target; /* all masters, as administrator */
};
/* Three masters, all voters, one leading. */
void processes_up(struct processes *p, const char *dir, const char *program, bool notes);
void processes_kill(struct processes *p, unsigned i);                /* SIGKILL, and waits for its end */
void processes_freeze(struct processes *p, unsigned i, bool frozen); /* SIGSTOP, SIGCONT */
void processes_start(struct processes *p, unsigned i);
/* SIGTERM, and waits up to limit_ms; the exit status, or -1 if it had to be killed. */
int processes_stop(struct processes *p, unsigned i, int64_t limit_ms);
/* Kills all that is left; the directory goes if `remove` says so. */
void processes_down(struct processes *p, bool remove);
/* A master that ended without being asked to: its number from 1, and how; 0 if none. */
unsigned processes_lost(struct processes *p, int *status);
/* Of what master i says about itself and the cluster: {revision, appliedIndex, leader, ...}. False if it does not answer. */
bool processes_ask(struct processes *p, struct api *a, unsigned i, struct api_reply *out);
/* The leader's place in masters; -1 if there is none now. */
int processes_leader(struct processes *p, struct api *a);
void fault_die(const char *what, const struct error *err) __attribute__((noreturn));
int64_t fault_now_us(void);
void fault_sleep_ms(int64_t ms);

#endif
