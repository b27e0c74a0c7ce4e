/* A master that was removed from the cluster: how it gets to know, and what it does then.
 *
 * Whoever holds the record (record.h: removedMasters) tells it: the leader at the removal, later any member at every
 * attempt to connect. The other's certificate is still valid, but a session of a removed master is good for nothing but
 * this one message. What is not known is not held against anybody: a newcomer that our configuration does not have yet,
 * or our own past while the log is being loaded.
 *
 * It is believed when the leader says so that we follow, or when we have known no leader for REMOVED_LONELY_MS: a
 * member that still has a leader is none that was removed. So a master that somebody has recovered by mistake (and that
 * takes all the others for removed) stops nobody of a cluster that works.
 *
 * The one who hears it writes the file `removed` into its data directory and stops; `reeve-master run` then says the
 * same at once (MASTER_EXIT_REMOVED). Nothing is deleted. */
#include "master/members/removed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "master/members/members.h"
#include "master/record.h"

#define REMOVED_LONELY_MS 3000

bool members_removed(struct master *m, uint64_t id)
{
    if (m->replica == NULL || m->stopping) {
        return false;
    }
    struct mp record = record_data(store_committed(replica_store(m->replica)));
    if (!record_ids_have(mp_str(mp_get(record, "removedMasters")), id)) {
        return false;
    }
    /* The record is text that anybody with the right may edit: the configuration has the last word. */
    struct replica_member there;
    return !members_find(m, id, NULL, &there);
}

static int tell(struct rpc_session *s, uint64_t id)
{
    struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "id", (int64_t)id);
    int rv = rpc_notify(s, "removed", buf_str(&b));
    buf_close(&b);
    return rv;
}

void removed_tell(struct master *m, uint64_t id)
{
    struct rpc_session *s = transport_session(m->transport, id);
    if (s != NULL) {
        tell(s, id);
    }
}

static bool is_removed(void *data, uint64_t id, const struct pki_facts *facts)
{
    struct master *m = data;
    (void)facts;
    if (!members_removed(m, id)) {
        return false;
    }
    if (replica_leading(m->replica)) { /* a follower would not be believed */
        removed_tell(m, id);
    }
    return true;
}

void removed_advance(struct master *m)
{
    const struct object *record = record_object(store_committed(replica_store(m->replica)));
    uint64_t revision = record == NULL ? 0 : record->revision;
    if (revision == m->record_revision || m->transport == NULL) {
        return;
    }
    m->record_revision = revision;
    transport_end_sessions(m->transport, is_removed, m); /* what is queued goes out first */
    transport_follow_members(m->transport);
}

void removed_farewell(struct master *m, struct net_conn *c, uint64_t id)
{
    struct rpc_session *s = rpc_session_new(c, &m->loop, &(struct rpc_config){.inflight_max = 1, .log = &m->log});
    log_debug(&m->log, "members", "master %" PRIu64 ", which was removed, connects from %s", id,
              rpc_session_peer_addr(s));
    tell(s, id);
    rpc_session_close(s); /* what is queued goes out first */
}

static void stop(struct master *m)
{
    char path[600], text[256];
    struct error err = {0};
    master_config_path(&m->config, "removed", path, sizeof path);
    int n = snprintf(text, sizeof text, "master %" PRIu64 " was removed from the cluster\n", m->config.id);
    if (pki_write_file(path, text, (size_t)n, 0644, &err) != 0) {
        log_warn(&m->log, "members", "the removal can't be noted: %s", err.message);
    }
    log_error(&m->log, "members",
              "this master (id %" PRIu64 ") was removed from the cluster; its data in %s can be deleted; to come back, "
              "join anew with a token of `rctl master add`",
              m->config.id, m->config.dir);
    master_stop(m, MASTER_EXIT_REMOVED);
}

void removed_on_told(void *data, uint64_t peer_id)
{
    struct master *m = data;
    if (m->stopping || m->replica == NULL) {
        return;
    }
    uint64_t leader = replica_leader(m->replica, NULL);
    bool lonely = leader == 0 && env_now_ms(m->env) - m->leader_seen_ms >= REMOVED_LONELY_MS;
    if (lonely || (leader == peer_id && leader != 0)) {
        stop(m);
    } else if (leader != 0 && m->disbelieved != peer_id) {
        m->disbelieved = peer_id;
        log_warn(&m->log, "members",
                 "master %" PRIu64 " says that this master (id %" PRIu64 ") was removed, but master %" PRIu64
                 " leads here: not believed; was master %" PRIu64 " recovered by hand?",
                 peer_id, m->config.id, leader, peer_id);
    }
}

void removed_check(struct master *m)
{
    if (m->leader_seen_ms == 0 || replica_leader(m->replica, NULL) != 0) {
        m->leader_seen_ms = env_now_ms(m->env);
    }
    if (members_removed(m, m->config.id)) {
        stop(m);
    }
}

int removed_marker(const struct master_config *c, struct error *err)
{
    char path[600];
    master_config_path(c, "removed", path, sizeof path);
    if (access(path, F_OK) != 0) {
        return 0;
    }
    return error_set(err, ERR_FORBIDDEN,
                     "this master (id %" PRIu64
                     ") was removed from the cluster; its data in %s can be deleted; to come "
                     "back, join anew: `rctl master add` prints the line (a directory that is empty, or another one)",
                     c->id, c->dir);
}
