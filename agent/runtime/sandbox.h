/* Pod sandboxes: network, IPC and UTS namespaces that live without any process, bound to files, and the files every
 * container of the pod sees (/etc/hosts, /etc/hostname, /etc/resolv.conf, /dev/shm).
 *
 *   DIR/UID/                a tmpfs of the pod's own, small: containers can write to /etc/hosts
 *   DIR/UID/{net,ipc,uts}   namespace files (bind mounts)
 *   DIR/UID/user            that of a user namespace of the pod's own, to which the others belong
 *   DIR/UID/pid             that of a PID namespace shared by the containers; a process holds it, which dies with the
 *                           sandbox (sandbox_pause.h)
 *   DIR/UID/{hosts,hostname,resolv.conf}, DIR/UID/shm/ (tmpfs), DIR/UID/info (network result, for adoption)
 * DIR should lie under /run: namespaces do not outlive the machine and neither must their files. The agent may die and
 * come back: the namespaces stay, sandbox_find adopts them. Work runs in a thread of its own (unshare(2) concerns the
 * calling thread only). Loop thread only; callbacks never run inside the call that registered them. */
#ifndef AGENT_RUNTIME_SANDBOX_H
#define AGENT_RUNTIME_SANDBOX_H

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define SANDBOX_PATH_MAX   512
#define SANDBOX_SHM_MAX    (64u << 20)
#define SANDBOX_FILES_MAX  (4u << 20) /* bytes of a pod's files beside shm, on a tmpfs of its own */
#define SANDBOX_INODES_MAX 64u
#define SANDBOX_STORE_MAX  (16u << 20) /* the tmpfs that holds the pods' directories */
#define SANDBOX_UTS_MAX    330         /* more than the kernel takes */

struct sandbox_store;
/* Makes dir and, if it is not one yet, a private tmpfs on it. Blocking, short. */
int sandbox_store_new(uv_loop_t *loop, const char *dir, const struct log *log, struct sandbox_store **out,
                      struct error *err);
struct sandbox_store *sandbox_store_hollow_new(uv_loop_t *loop);
/* Waits for what runs; namespaces stay. cb may be NULL. */
void sandbox_store_close(struct sandbox_store *s, void (*cb)(void *data), void *data);

/* Plain data: paths that containers are given. Empty string = the node's own namespace. */
struct sandbox {
    char uid[64];
    bool host_network, host_ipc;
    char net[SANDBOX_PATH_MAX]; /* namespace files */
    char ipc[SANDBOX_PATH_MAX];
    char uts[SANDBOX_PATH_MAX];
    char user[SANDBOX_PATH_MAX];  /* "" = the node's */
    uint32_t user_first;          /* with user: the number on the node of the pod's root (userns.h) */
    char pid[SANDBOX_PATH_MAX];   /* "" = each container makes its own, or uses the node's */
    int pause_pid;                /* with pid: who holds it */
    char hosts[SANDBOX_PATH_MAX]; /* files to mount at /etc/hosts, ... */
    char hostname_file[SANDBOX_PATH_MAX];
    char resolv_conf[SANDBOX_PATH_MAX];
    char shm[SANDBOX_PATH_MAX]; /* directory to mount at /dev/shm */
    char hostname[65];
    char domain[256]; /* "" if none */
    bool fqdn;        /* the kernel's host name is hostname.domain */
    char ip[64];      /* as recorded by sandbox_set_ip; "" = none yet */
};

struct sandbox_sysctl {
    const char *name, *value; /* "net.ipv4.ip_unprivileged_port_start"; a slash stands for a dot within a name */
};
struct sandbox_spec {
    const char *uid;      /* of the pod: DNS-label characters */
    const char *hostname; /* cut to 63 */
    const char *domain;   /* for /etc/hosts, may be NULL */
    bool host_network, host_ipc;
    bool shared_pid;
    /* a user namespace of the pod's own that begins there (userns.h), which the caller keeps from others; 0 =
     * the node's */
    uint32_t user_first;
    bool fqdn; /* setHostnameAsFQDN; ERR_INVALID if the name is longer than the kernel's 64 */
    const struct sandbox_sysctl *sysctls; /* written inside the namespaces; what is refused there fails the sandbox */
    unsigned sysctls_count;
    const char *resolv_conf; /* content; NULL = a copy of the node's /etc/resolv.conf */
};
/* The host name that the pod's kernel has: short, or in full. */
void sandbox_uts_name(const struct sandbox *sb, char out[SANDBOX_UTS_MAX]);

/* sb is valid for the call. Making one that exists adopts it (same result). */
typedef void sandbox_cb(const struct sandbox *sb, const struct error *error, void *data);
void sandbox_make(struct sandbox_store *s, const struct sandbox_spec *spec, sandbox_cb *cb, void *data);

/* After the network is there: writes /etc/hosts (localhost, IP and names, extra lines "IP name name\n" or NULL) and
 * records the IP. Blocking, short. */
int sandbox_set_ip(struct sandbox_store *s, struct sandbox *sb, const char *ip, const char *extra_hosts,
                   struct error *err);

/* Before a container is started. If the holder of a shared PID namespace was killed, everything in the namespace died
 * with it, and a new one is made: *renewed is true, and pause_pid another one. Blocking, short. */
int sandbox_renew(struct sandbox_store *s, struct sandbox *sb, bool *renewed, struct error *err);

/* After the agent's restart. false if there is none, or it is damaged (then sandbox_remove it and make a new one). */
bool sandbox_find(struct sandbox_store *s, const char *uid, struct sandbox *out);
/* Where its user namespace begins, also of one that is damaged; 0: it has none, or is not there. */
uint32_t sandbox_user_first(struct sandbox_store *s, const char *uid);
/* uids of all that is there; each call gives one, starting with *cursor = 0; false at the end. */
bool sandbox_next(struct sandbox_store *s, unsigned *cursor, char uid[64]);

/* Unmounts and removes; the kernel takes the namespaces down when the last process in them is gone. Removing what is
 * not there is fine. */
typedef void sandbox_done_cb(const struct error *error, void *data);
void sandbox_remove(struct sandbox_store *s, const char *uid, sandbox_done_cb *cb, void *data);

#endif
