/* A master's data directory and what is in it.
 *
 *   master.yaml        id, name, cluster, listen, advertise, agentAddress, join (addresses), timings
 *   ca.crt             the cluster's CA
 *   ca.part            this master's part of the CA's key (auth/parts.h)
 *   ca.key             the CA's key in clear, until it is in parts (auth/authority.h): made by init, restore, recover
 *   master.crt .key    this master's identity (O=reeve:masters, CN=id); renewed by itself (identity.c)
 *   joining.key .csr   key and request of a master that is just joining: kept until it has its answer, so that a
 *                      repetition is known as the same newcomer
 *   seal.key           what belongs to Secrets is encrypted with it on disk: a key of 32 bytes in hex, or several
 *                      (proto/pki/ring.h)
 *   raft/              log, snapshots, term and vote: libraft's files, and ours beside them: reeve-mark
 *                      (raft-store/disk/mark.h), state-*.rvs (raft-store/disk/snapfile.h), reeve-ballast
 *                      (raft-store/raft/uv_io.c)
 *   masters            the cluster's masters as last seen here, one a line: id, role, address
 *   recovered/         the new raft/ that `reeve-master recover` has made, until it takes its place
 *   quarantine-TIME/   a former raft/, damaged or replaced by a recovery: evidence, the newest three are kept
 *                      (repair.h)
 *   removed            this master was removed from the cluster: why it does not start any more (a line of text)
 *   admin.config       client configuration of the first administrator (init, restore, admin)
 *   tokens             those that init or restore has printed, until the first leader has them in the cluster's state
 *   unfinished         only while the directory is being made from a state: without master.yaml it cannot be started
 * master.crt.next is there while the pair is replaced (proto/pki/pki.h). The lock of a running master is on the
 * directory itself (flock).
 */
#ifndef MASTER_CONFIG_H
#define MASTER_CONFIG_H

#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "proto/net/net.h"
#include "proto/pki/ring.h"

#define MASTER_UNFINISHED         "unfinished"
#define MASTER_JOIN_ADDRESSES_MAX 16
#define MASTER_NODE_RATE_DEFAULT  200 /* requests a second of one node: an agent makes a few */
#define MASTER_RATE_MAX           1000000
#define MASTER_SETTINGS_MAX       32u
#define MASTER_CLUSTER_FILE       "configuration.yaml" /* of init, until the first leader has made the object */
/* Raft's timings. An election starts when a leader has been silent for the election timeout and up to the least timeout
 * more. 450 ms are several times what a busy disk's flush or a closing segment holds the loop up (about 100 ms), and
 * pre-vote keeps a wrong guess harmless. Masters that see each other stand still raise it up to the greatest, and come
 * back to the least (raft-store/raft/pace.h); they begin with twice the least. A leader whose process has ended is
 * replaced at once, whatever the timeout. */
#define MASTER_ELECTION_MS_DEFAULT       450
#define MASTER_ELECTION_MAX_MS_DEFAULT   3000
#define MASTER_RAFT_HEARTBEAT_MS_DEFAULT 100
#define MASTER_USAGE_MS_MIN              200
struct master_config {
    char dir[512];
    uint64_t id;
    char name[128];
    char cluster[64];
    char listen[NET_ADDR_MAX];
    char advertise[NET_ADDR_MAX];                                 /* where other masters and clients reach us */
    char agent_address[NET_ADDR_MAX];                             /* where agents reach us */
    char join_addresses[MASTER_JOIN_ADDRESSES_MAX][NET_ADDR_MAX]; /* to be added to the cluster by one of these */
    unsigned join_count;
    unsigned election_timeout_ms,
        election_max_ms; /* the least and the greatest; not above the least: it never changes */
    unsigned heartbeat_ms;
    int64_t node_grace_ms;
    int64_t agent_heartbeat_ms;
    int64_t agent_usage_ms; /* how often agents tell what is used */
    unsigned snapshot_entries;
    int64_t snapshot_mbytes;
    int64_t node_requests_s; /* of one node, by and large (rate.h); 0 = MASTER_NODE_RATE_DEFAULT */
    int64_t user_requests_s; /* of one user; 0 = no limit */
    int64_t queue_mbytes;    /* of what all connections hold (held.c); 0 = by this machine's memory */
    int64_t state_mbytes,
        state_objects;         /* bounds of the whole state; 0 = by this machine's memory (master_config_state) */
    int64_t events_mbytes;     /* of all events; 0 = by this machine's memory (master_config_events) */
    int64_t cert_life_s;       /* of certificates for masters and nodes; 0 = PKI_CERT_VALID_S */
    int64_t admin_cert_life_s; /* 0 = PKI_ADMIN_CERT_VALID_S */
    bool bootstrap;            /* first start of a new cluster */
    bool started; /* this master has voted or acknowledged something: an empty raft/ means that it was lost */
    /* Not "": what was in raft/ is lost for this reason, and the master must not start before it has come back under
     * a new id (repair.h). */
    char rejoin[256];
    /* the cluster's, as last seen, from 2 on (members/level.h): an older program must not start */
    unsigned feature_level;
    bool recovered; /* `reeve-master recover` has decided, and recovered/ is to take the place of raft/ (recover.h) */
    enum log_level log_level;
    const char *settings
        [MASTER_SETTINGS_MAX]; /* init: KEY=VALUE of the cluster's configuration (proto/facts/cluster.h). Not kept */
    unsigned settings_count;
    int64_t token_uses; /* init, restore: how many newcomers the printed tokens let in, each; 0 = 1. Not kept */
};

/* What `reeve-master run` exits with when this master is no member any more: to start it again is of no use. */
#define MASTER_EXIT_REMOVED 3
/* ERR_FORBIDDEN if the data directory says so (removed.c). */
int removed_marker(const struct master_config *c, struct error *err);

int master_config_load(const char *dir, struct master_config *out, struct error *err);
int master_config_save(const struct master_config *c, struct error *err);
/* Seconds that a certificate for somebody of this role lives. */
int64_t master_config_cert_life_s(const struct master_config *c, enum pki_role role);
/* The bounds of the state in bytes and objects: as configured, or an eighth of the memory and an object for each 1
 * KiB of it. */
/* The same for what connections hold: 1/32 of the memory, 64 MiB to 1 GiB. */
uint64_t master_config_queue(const struct master_config *c);
#define MASTER_STATE_WARN_PERCENT 80u
void master_config_state(const struct master_config *c, uint64_t *bytes, uint64_t *objects);
/* What all events may weigh (raft-store/store/event_ring.h): as configured, or 1/64 of the memory, 8 to 128 MiB. */
uint64_t master_config_events(const struct master_config *c);
/* Path of a file in the data directory. */
void master_config_path(const struct master_config *c, const char *file, char *out, size_t size);
/* One process at a time works on a data directory: held until *fd is closed. Waits 5 s for one that may be about to
 * end. ERR_BUSY: another one does. */
int master_config_lock(const char *dir, int *fd, struct error *err);
/* The keys in seal.key; the caller wipes them. ERR_CORRUPT: they are no such keys. */
int master_config_seal_keys(const struct master_config *c, struct pki_ring *out, struct error *err);
/* Replaces the file, durably, and removes what a crash has left of former attempts. */
int master_config_save_seal_keys(const struct master_config *c, const struct pki_ring *keys, struct error *err);

#endif
