/* `rctl up`: a whole cluster on one machine. Masters are ordinary processes; each agent gets a *node* of its own:
 * mount, pid, network, ipc, uts and cgroup namespaces and its own cgroups, so that its pods, mounts, addresses and
 * limits are as on a machine of its own.
 *
 *     root network namespace         the fabric (PREFIX-fabric)            node n1 (PREFIX-n1)
 *     reeve-master m1  127.0.0.1:P1   br0 10.77.0.1/24 --- veth n1 ------- eth0 10.77.0.11/24
 *            `--- listening socket on 10.77.0.1:P1, handed over as fd 3 (LISTEN_FDS)
 * No address of the fabric exists in the root namespace: masters reach into it only by that socket. Nodes have no way
 * out of the fabric.
 *
 * Everything lies under one directory:
 *     DIR/cluster.yaml     what was started: prefix, masters with their ports, nodes
 *     DIR/config           client configuration
 *     DIR/masters/mI, DIR/nodes/nI   data of the daemons        DIR/logs/NAME.log   what they say
 *     DIR/run/NAME.pid     pid, its start time and the boot it belongs to, so that no foreign process is ever signalled
 * and names outside of it begin with PREFIX, a hash of the absolute DIR: network namespaces /run/netns/PREFIX-*, and
 * one cgroup "PREFIX" in each hierarchy with one child per member. So clusters coexist, and `rctl down` finds
 * everything after a crash or a reboot. */
#ifndef CLIENT_UP_UP_H
#define CLIENT_UP_UP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define UP_MASTERS_MAX  9u /* that a directory may hold; new ones are made up to UP_MASTERS_NEW */
#define UP_MASTERS_NEW  7u
#define UP_NODES_MAX    200u
#define UP_PATH_MAX     4096
#define UP_DIR_MAX      230 /* a node's directory below it has at most 255 (agent/util/fsutil.h, FS_BASE_MAX) */
#define UP_PREFIX_SIZE  12
#define UP_GATEWAY      "10.77.0.1"
#define UP_PORT_DEFAULT 7400
#define UP_STOP_MS      8000 /* from SIGTERM to SIGKILL */

#define UP_ARGS_MAX     16u

struct up {
    struct arena arena;
    char dir[UP_PATH_MAX];          /* absolute */
    char prefix[UP_PREFIX_SIZE];    /* "rv" and 8 hex digits */
    unsigned masters, nodes;        /* that have been set up */
    uint16_t ports[UP_MASTERS_MAX]; /* of m1.. */
    bool fabric;                    /* the masters listen in it */
    const char *images;             /* directory that agents load images from; NULL = none */
    const char *master_args[UP_ARGS_MAX + 1], *agent_args[UP_ARGS_MAX + 1]; /* more words for `run`; NULL-terminated */
};

/* ---- State (up/state.c) ---- */

/* dir need not exist. Fills dir and prefix; the rest is 0. ERR_INVALID if it lies where nodes cannot see it (/run,
 * /dev/shm, /proc, /sys). */
int up_init(struct up *u, const char *dir, struct error *err);
void up_close(struct up *u);
/* ERR_NOT_FOUND if there is no cluster in it. */
int up_load(struct up *u, struct error *err);
int up_save(const struct up *u, struct error *err);
/* DIR/part, DIR/part/name with suffix; in the arena. */
const char *up_path(struct arena *a, const struct up *u, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int up_make_dirs(const struct up *u, struct error *err);
/* All below path, and path; other file systems mounted there are left alone. */
int up_remove_tree(const char *path, struct error *err);
const char *up_node_ip(struct arena *a, unsigned index); /* index from 0: 10.77.0.11 */

/* Pid records. pid 0 from up_alive: not running (never started, ended, or another process by now). */
int up_record_pid(const struct up *u, const char *name, pid_t pid, struct error *err);
pid_t up_alive(const struct up *u, const char *name);
/* The same for who is about to start it: one that has just been killed is waited for until it is gone, up to
 * ENDING_MS. */
#define ENDING_MS 30000
pid_t up_runs(const struct up *u, const char *name);
/* SIGTERM, after term_ms SIGKILL, until it is gone. */
void up_stop(const struct up *u, const char *name, int64_t term_ms);

/* ERR_BUSY if a daemon that "rctl up" did not start works in the data directory of one of its masters or nodes
 * (name), or of any (NULL). */
int up_check_strangers(const struct up *u, const char *name, struct error *err);
/* ERR_INVALID if the directory is no cluster's, but the data directory of one daemon, made by hand. */
int up_check_kind(const struct up *u, struct error *err);

/* ---- Processes (up/process.c) ---- */

/* Runs a command to its end. ERR_SYSTEM with its last words. */
int up_command(const char *const *argv, struct error *err);
/* The same from inside a network namespace file (NULL: from here), with words that are split at blanks. */
int up_command_in(const char *netns, struct error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Starts a daemon in a session of its own, in the cgroups of name, output appended to DIR/logs/NAME.log, with listen_fd
 * (or -1) handed over, and records its pid. */
int up_start_daemon(const struct up *u, const char *name, const char *const *argv, int listen_fd, struct error *err);
/* Beside this program, or in PATH. */
int up_find_program(struct arena *a, const char *name, const char **path, struct error *err);
/* The last lines of a member's log, for error messages. */
void up_log_tail(const struct up *u, const char *name, unsigned lines, struct buf *out);

/* ---- The fabric (up/fabric.c) ---- */

int up_fabric_make(const struct up *u, struct error *err);
/* Listening TCP socket on the bridge's address; also for tests that serve something to nodes. */
int up_fabric_listen(const struct up *u, uint16_t port, int *fd, struct error *err);
/* Connect the network namespace of pid as node `index` and name it PREFIX-nI. Repeats are fine. */
int up_fabric_attach(const struct up *u, unsigned index, pid_t pid, struct error *err);
/* Pull or plug a node's cable. */
int up_fabric_set_link(const struct up *u, unsigned index, bool plugged, struct error *err);
void up_fabric_remove(const struct up *u);
/* A TCP port on 127.0.0.1 that nobody listens on, from `from` on. 0 if there is none. */
uint16_t up_free_port(uint16_t from);

/* ---- Cgroups (up/cgroup.c) ---- */

/* Makes PREFIX/name in every hierarchy. */
int up_cgroup_make(const struct up *u, const char *name, struct error *err);
int up_cgroup_enter(const struct up *u,
                    const char *name); /* this process; for a child before exec: no messages, 0 or -1 */
/* Kills what is left in PREFIX/name (NULL: all) and removes it. */
void up_cgroup_remove(const struct up *u, const char *name);
/* Inside a node: the cgroup file systems anew, rooted at the node's own groups. list: /proc/self/cgroup as it was
 * before. */
int up_cgroup_mount(const char *list, struct error *err);

/* ---- Nodes (up/node.c) ---- */

struct up_node_spec {
    unsigned index;
    const char *const *argv;      /* the agent's command, run again whenever it ends */
    const char *const *join_argv; /* run before the first start; NULL = has joined */
    const char *joined_path;      /* made when join_argv has succeeded */
};
int up_node_start(const struct up *u, const struct up_node_spec *spec, struct error *err);
/* What pid 1 of a node does; never returns. argv: of the hidden command "node-init". */
int up_node_main(int argc, const char *const *argv);

#endif
