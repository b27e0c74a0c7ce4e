/* What stands between libraft and the raft_io that the owner gave. libraft 0.22.1 (its layer over raft_step) does not
 * survive some answers of a raft_io and some messages; they never reach it:
 *
 *  1. An error from append, truncate or snapshot_put makes the library free the argument of the call twice. So these
 *     calls always succeed here. The replica dies instead, and the call is cancelled when the library closes.
 *  2. An error from set_term or set_vote leaves the new value in memory, and later messages speak as if it were on
 *     disk. The node dies and sends nothing more.
 *  3. An error from send ends the step: entries that were just committed are not applied then. So send always succeeds
 *     here. Raft allows for messages that are lost.
 *  4. An InstallSnapshot that arrives while a snapshot is being taken ends in a NULL pointer when that is done. It is
 *     dropped: the leader repeats it. So is one whose checksums do not fit: it must not replace anything.
 *  5. A snapshot read for sending may be newer than the one the message was made for; the library corrects its index
 *     but not its term.
 *  6. When a snapshot cannot be read, the library frees a configuration that it never set. It gets an empty snapshot
 *     instead, and the message that it makes of it goes nowhere; the leader tries again when the installation times
 *     out.
 *  7. What an AppendEntries says about entries that the follower has committed (a probe, a late message) is handled
 *     wrongly: the commit index goes back to the last entry of the message, and a snapshot taken then holds a later
 *     state than its index says; entries that were compacted away are taken for new ones and written behind the end of
 *     the log. But every leader of this or a later term has all that is committed, so such a message is cut to what
 *     lies behind the commit index and says no more than before.
 *  8. A leader that has sent a snapshot sends nothing else to that follower until it hears of a new match index, or
 *     until a timeout that has to allow for the largest snapshot. If the snapshot gets lost, or the follower had all of
 *     it already, that is a long stall. We know when the transfer is over, so the timeout is long while one is on its
 *     way and short otherwise.
 *  9. A leader that is probing believes a late rejection of an index that it knows to be matched, counts a negative
 *     number of entries in flight and never sends any again. Such rejections are dropped.
 * 10. fsm->snapshot runs on the loop, and snapshot_async too (it is called right behind it): see
 *     raft/replica_snapshot.c.
 * 11. A follower that gets a configuration behind other entries in one message takes it for the first of them: it never
 *     learns that the configuration is committed (as a leader it would call every change of the membership "under way"
 *     for ever), and keeps it when the entry is rolled back, with a wrong majority from then on. So a configuration is
 *     the first entry of its message.
 * 12. A write that fails later, through its callback, is taken for one that was cancelled by closing: what it was to
 *     write is never heard of again, and an installation that failed lets no other begin. The node dies.
 * 13. A snapshot that is damaged on the leader's disk is refused by the follower, and the leader sends it again for
 *     ever: the follower never catches up. So a master checks a snapshot before it sends it, and dies if the snapshot
 *     is damaged. Its next start finds the same damage and tells the owner.
 * 14. A leader that is being closed has freed what it knew of its followers and still calls itself the leader. Asking
 *     it for a match index, as rule 9 does, reads through a NULL pointer. What arrives while closing is dropped.
 * 15. The answer to an InstallSnapshot of a former term says success, with an index that was never set. If the sender
 *     leads again by then, it believes that the follower has all of its log, and commits entries that nobody else has.
 *     So such a message is dropped. The sender learns of the newer term from the other members.
 * 16. A member that has been made a voter refuses to vote until it has the entry that made it one. If there is no
 *     majority without it, no leader is elected, so it never gets that entry. By the dissertation (section 4.1) servers
 *     answer requests whatever their own configuration says; the candidate's configuration says which votes count. So
 *     a member votes here in any role. And the library lets go of a silent leader only when it stands for election,
 *     which only voters do; so here a silent leader does not keep a member from voting.
 * 17. An AppendEntries of a former term is refused by naming the index before its entries, and 0 there means success.
 *     So a newcomer, whose log is sent from its beginning, acknowledges an index that was never set, with the
 *     consequence of rule 15. The message is not dropped, since its sender may hear of the newer term from nobody else.
 *     It is refused as if its entries began behind entry 1. The index in each refusal that leaves is set here (to what
 *     the library sets otherwise), and a leader drops an acknowledgement of more entries than it has.
 * 18. An answer to a pre-vote names the term that would come next. To see that it belongs to a pre-vote, the library
 *     reads a field of its candidate's state. A follower does the same, but has the leader's address at that place: if
 *     a certain byte of that pointer is 0, one time in sixteen, the follower goes to the next term, and its leader has
 *     to step down. So only candidates are given answers to requests for votes.
 * 19. A restarted server that is the only voter leads again in the same term. It may have sent entries to a standby and
 *     lost them with its memory or disk. The entries that it writes now have the same index and term, so the standby,
 *     which keeps the former ones, is taken for equal. Logs may differ only where terms differ; so such a server begins
 *     a new term before it starts. (A log that holds nothing but its first configuration was never sent to anybody:
 *     another member would be an entry.)
 * 20. A request for a pre-vote is answered with the term that it names, even if it is refused because ours is higher. A
 *     candidate with a longer log and an older term then never learns of our term. We cannot win either, since we lack
 *     its entries, so nobody is elected any more. So such a refusal names our term here, and the candidate goes to it.
 * 21. The library's assertions are off. Where one would fail, it goes on with wrong assumptions about its memory:
 *     entries of another leader in the term in which we lead, an empty configuration, a term that has no next one.
 *     Messages that no correct master sends are dropped (raft/replica_absurd.c). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "raft-store/disk/snapfile.h"
#include "raft-store/raft/raft_codec.h"
#include "raft-store/raft/replica_int.h"
#include "raft-store/store/snapshot.h"

static struct replica *replica_of(struct raft_io *io)
{
    struct raft *raft = io->data;
    return raft->data;
}

static void die_of_disk(struct replica *n, const char *what, int rv);

/* ---- Receiving ---- */

static bool may_install(struct replica *n, const struct raft_message *m)
{
    if (n->raft.legacy.snapshot_taking || n->raft.legacy.snapshot_install ||
        m->install_snapshot.term < raft_current_term(&n->raft)) { /* rules 4, 15 */
        return false;
    }
    struct error err = {0};
    int rc = replica_snapshot_check(n, &m->install_snapshot.data, &err);
    if (rc != 0) {
        log_error(n->config.log, "node", "refused a snapshot from master %llu: %s", (unsigned long long)m->server_id,
                  err.message);
        return false;
    }
    return true;
}

/* The term of our entry at index; 0 if that is not known any more. */
static uint64_t term_at(const struct raft_trail *t, uint64_t index)
{
    if (index == t->snapshot.index) {
        return t->snapshot.term;
    }
    for (unsigned i = t->front; index > t->offset && i != t->back; i = (i + 1) % t->size) {
        if (index <= t->records[i].index) { /* the last index of its term */
            return t->records[i].term;
        }
    }
    return 0;
}

/* Rule 7. False: the message contradicts what is committed and must not be believed. */
static bool cut_committed(struct replica *n, struct raft_message *m)
{
    struct raft_append_entries *a = &m->append_entries;
    uint64_t commit = raft_commit_index(&n->raft), term = term_at(&n->raft.trail, commit);
    if (a->term < raft_current_term(&n->raft) || a->prev_log_index > commit || term == 0 ||
        n->raft.snapshot.installing) {
        return true;
    }
    uint64_t known = commit - a->prev_log_index;
    if (a->n_entries >= known) {
        uint64_t theirs = known == 0 ? a->prev_log_term : a->entries[known - 1].term;
        if (theirs != term) {
            log_error(n->config.log, "node",
                      "master %llu has another entry at %llu (term %llu) than the committed one here (term %llu); not "
                      "following",
                      (unsigned long long)m->server_id, (unsigned long long)commit, (unsigned long long)theirs,
                      (unsigned long long)term);
            return false;
        }
    }
    unsigned cut = (unsigned)MIN(known, a->n_entries);
    if (cut == a->n_entries && cut > 0) {
        raft_free(a->entries[0].batch);
        raft_free(a->entries);
        a->entries = NULL;
    } else if (cut > 0) {
        assert(a->entries[0].batch == a->entries[a->n_entries - 1].batch);
        memmove(a->entries, a->entries + cut, (a->n_entries - cut) * sizeof *a->entries);
    }
    a->n_entries -= cut;
    a->prev_log_index = commit;
    a->prev_log_term = term;
    return true;
}

/* Rule 16; and a voter, too, lets go of a leader that has been silent for the time that counts, not first when it
 * stands for election itself (dissertation, section 4.2.3: "within the minimum election timeout of hearing from a
 * current leader"). What is pretended holds for this call alone: a request for a vote changes no configuration. */
static void recv_vote_request(struct replica *n, struct raft_io *io, struct raft_message *m)
{
    struct raft_server *me = replica_server(n, n->config.id);
    bool voter = me != NULL && me->role == RAFT_VOTER;
    if (me == NULL || (voter && !pace_adapts(&n->pace))) {
        n->io.recv(io, m);
        return;
    }
    int role = me->role;
    uint64_t leader = 0;
    if (raft_state(&n->raft) == RAFT_FOLLOWER && replica_leader_silent(n)) {
        leader = n->raft.follower_state.current_leader.id;
        n->raft.follower_state.current_leader.id = 0;
    }
    me->role = RAFT_VOTER;
    n->io.recv(io, m);
    me = replica_server(n, n->config.id);
    if (me != NULL) {
        me->role = role;
    }
    if (raft_state(&n->raft) == RAFT_FOLLOWER && n->raft.follower_state.current_leader.id == 0 &&
        n->raft.follower_state.current_leader.address != NULL) {
        n->raft.follower_state.current_leader.id = leader; /* the library has not let go of it */
    }
}

/* Rule 17. The library looks at nothing but the term and this index. */
static void mend_former_append(const struct replica *n, struct raft_append_entries *a)
{
    if (a->term < n->raft.current_term && a->prev_log_index == 0) {
        a->prev_log_index = 1;
    }
}

/* Rules 9 and 17: what a follower cannot have said to the leader of this term. */
static bool absurd_result(struct replica *n, const struct raft_message *m)
{
    const struct raft_append_entries_result *r = &m->append_entries_result;
    raft_index match;
    if (raft_state(&n->raft) != RAFT_LEADER || r->term != raft_current_term(&n->raft)) {
        return false;
    }
    if (r->rejected > 0) {
        return raft_match_index(&n->raft, m->server_id, &match) == 0 && r->rejected <= match;
    }
    return r->last_log_index > raft_last_index(&n->raft);
}

/* Answers to a leader carry a capacity, which libraft would refuse writes by; that is off (a threshold of 0), and the
 * field says whether the member's disk is low: 0, or not. */
static void note_disk(struct replica *n, uint64_t id, bool low)
{
    unsigned i = 0;
    while (i < n->disks_count && n->disks[i].id != id) {
        i++;
    }
    if (i == n->disks_count) {
        i = i == ARRAY_SIZE(n->disks) ? 0 : n->disks_count++; /* more than ever were members: the oldest goes */
    }
    n->disks[i].id = id;
    n->disks[i].low = low;
}

/* ---- A snapshot that comes while files of former ones are removed waits for the end of that: one, the last. */

static void drop_held(struct replica *n)
{
    if (n->io.held.install_snapshot.data.base != NULL) {
        raft_codec_free(&n->io.held);
    }
    atomic_store(&n->snapshot.spared, 0);
}

static void hold(struct replica *n, struct raft_message *m)
{
    const struct raft_buffer *data = &m->install_snapshot.data;
    drop_held(n);
    n->io.held = *m;
    atomic_store(&n->snapshot.spared, snapfile_number(data->base, data->len));
}

void replica_io_swept(struct replica *n)
{
    struct raft_message m = n->io.held;
    if (m.install_snapshot.data.base == NULL) {
        return;
    }
    memset(&n->io.held, 0, sizeof n->io.held);
    atomic_store(&n->snapshot.spared, 0);
    if (n->closing || n->dead || replica_absurd(n, &m) != NULL || !may_install(n, &m)) {
        raft_codec_free(&m);
    } else {
        n->io.recv(n->config.io, &m);
    }
}

static void io_recv(struct raft_io *io, struct raft_message *m)
{
    struct replica *n = replica_of(io);
    if (n->closing) { /* rule 14 */
        raft_codec_free(m);
        return;
    }
    if (replica_absurd(n, m) != NULL) { /* rule 21 */
        n->stats.absurd++;
        raft_codec_free(m);
        return;
    }
    bool stale = m->type == RAFT_APPEND_ENTRIES_RESULT && absurd_result(n, m);
    if (m->type == RAFT_APPEND_ENTRIES) {
        mend_former_append(n, &m->append_entries);
        stale = !cut_committed(n, m);
    }
    stale |= m->type == RAFT_REQUEST_VOTE_RESULT && raft_state(&n->raft) != RAFT_CANDIDATE; /* rule 18 */
    replica_pace_recv(n, m);
    if (m->type == RAFT_APPEND_ENTRIES_RESULT) {
        note_disk(n, m->server_id, m->append_entries_result.capacity == 0);
    }
    if (m->type == RAFT_INSTALL_SNAPSHOT && n->snapshot.sweeping && !n->dead) {
        hold(n, m);
        return;
    }
    if (n->dead || stale || (m->type == RAFT_INSTALL_SNAPSHOT && !may_install(n, m))) {
        raft_codec_free(m);
        return;
    }
    if (m->type == RAFT_REQUEST_VOTE) {
        recv_vote_request(n, io, m);
    } else {
        n->io.recv(io, m);
    }
}

static bool is_only_voter(const struct replica *n, const struct raft_configuration *c)
{
    unsigned voters = 0;
    bool me = false;
    for (unsigned i = 0; i < c->n; i++) {
        voters += c->servers[i].role == RAFT_VOTER;
        me |= c->servers[i].role == RAFT_VOTER && c->servers[i].id == n->config.id;
    }
    return me && voters == 1;
}

/* By the configuration that the library will begin with: the last one there is, committed or not. */
static bool will_elect_itself(const struct replica *n, const struct raft_snapshot *s, const struct raft_entry *entries,
                              size_t count)
{
    for (size_t i = count; i-- > 0;) {
        struct raft_configuration c;
        if (entries[i].type != RAFT_CHANGE) {
            continue;
        }
        raft_configuration_init(&c);
        bool only = raft_configuration_decode(&entries[i].buf, &c) == 0 && is_only_voter(n, &c);
        raft_configuration_close(&c);
        return only && (s != NULL || count > 1);
    }
    return s != NULL && is_only_voter(n, &s->configuration);
}

/* Rule 19. */
static int io_load(struct raft_io *io, raft_term *term, raft_id *voted_for, struct raft_snapshot **snapshot,
                   raft_index *start_index, struct raft_entry *entries[], size_t *n_entries)
{
    struct replica *n = replica_of(io);
    int rv = n->io.original.load(io, term, voted_for, snapshot, start_index, entries, n_entries);
    if (rv != 0 || !will_elect_itself(n, *snapshot, *entries, *n_entries)) {
        return rv;
    }
    rv = n->io.original.set_term(io, *term + 1);
    if (rv != 0) {
        die_of_disk(n, "write the term", rv);
        return 0; /* what was loaded is the library's, and a dead node writes nothing */
    }
    *term += 1;
    *voted_for = 0;
    return 0;
}

static raft_time io_time(struct raft_io *io)
{
    return replica_pace_time(replica_of(io));
}

static int io_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
    struct replica *n = replica_of(io);
    n->io.recv = recv;
    return n->io.original.start(io, msecs, tick, io_recv);
}

/* ---- Sending ---- */

/* Requests that a dead node swallowed: their callbacks come at close. */
struct stuck {
    struct list link;
    struct raft_io_append *append;
    struct raft_io_send *send;
    struct raft_io_snapshot_put *put;
};

static void stick(struct replica *n, struct stuck what)
{
    struct stuck *s = xmemdup(&what, sizeof what);
    list_push_back(&n->io.stuck, &s->link);
}

/* As many entries as fit into a message that the transport takes, one at least, and a configuration only as the first
 * of them (rule 11). The follower acknowledges what it got, and the rest is sent again from there. */
static unsigned entries_that_fit(const struct raft_append_entries *a)
{
    size_t size = 0;
    for (unsigned i = 0; i < a->n_entries; i++) {
        size += a->entries[i].buf.len + 32;
        if (i > 0 && (size > REPLICA_MESSAGE_MAX || a->entries[i].type == RAFT_CHANGE)) {
            return i;
        }
    }
    return a->n_entries;
}

/* Receiver's time to store and load a snapshot that has arrived, in election timeouts. */
#define INSTALL_ELECTIONS 10
#define INSTALL_LONG_MS   (24u * 3600 * 1000)

struct install {
    struct raft_io_send send; /* ours, handed to the original */
    struct raft_io_send *req; /* the library's */
    struct replica *replica;
};

static void install_sent(struct raft_io_send *send, int status)
{
    struct install *i = CONTAINER_OF(send, struct install, send);
    struct replica *n = i->replica;
    assert(n->io.installs > 0);
    n->io.installs--;
    n->io.install_until_ms = replica_now(n) + (int64_t)replica_election_ms(n) * (status == 0 ? INSTALL_ELECTIONS : 1);
    i->req->cb(i->req, status);
    free(i);
}

void replica_io_turn(struct replica *n)
{
    bool patient = n->io.installs > 0 || replica_now(n) < n->io.install_until_ms;
    raft_set_install_snapshot_timeout(&n->raft, patient ? INSTALL_LONG_MS : replica_election_ms(n));
}

static int io_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *message, raft_io_send_cb cb)
{
    struct replica *n = replica_of(io);
    struct raft_message copy = *message;
    if (message->type == RAFT_INSTALL_SNAPSHOT && message->install_snapshot.last_index == n->io.loaded_index) {
        copy.install_snapshot.last_term = n->io.loaded_term; /* rule 5 */
    }
    if (message->type == RAFT_APPEND_ENTRIES_RESULT) {
        copy.append_entries_result.capacity = n->disk != REPLICA_DISK_ENOUGH ? 0 : 1;
        if (copy.append_entries_result.rejected > 0) { /* rule 17 */
            copy.append_entries_result.last_log_index =
                MIN(raft_last_index(&n->raft), copy.append_entries_result.rejected - 1);
        }
    }
    if (message->type == RAFT_REQUEST_VOTE_RESULT && !copy.request_vote_result.vote_granted) { /* rule 20 */
        copy.request_vote_result.term = MAX(copy.request_vote_result.term, raft_current_term(&n->raft));
    }
    if (message->type == RAFT_APPEND_ENTRIES) {
        copy.append_entries.n_entries = entries_that_fit(&message->append_entries);
    }
    replica_pace_send(n, &copy);
    if (n->dead || (message->type == RAFT_INSTALL_SNAPSHOT && message->install_snapshot.data.len == 0)) {
        req->cb = cb;
        stick(n, (struct stuck){.send = req});
        return 0;
    }
    struct install *i = NULL;
    if (message->type == RAFT_INSTALL_SNAPSHOT) { /* rule 8 */
        i = xcalloc(1, sizeof *i);
        i->replica = n;
        i->req = req;
        req->cb = cb;
        n->io.installs++;
    }
    int rv = n->io.original.send(io, i != NULL ? &i->send : req, &copy, i != NULL ? install_sent : cb);
    assert(rv == 0); /* rule 3: transports of ours never fail */
    return rv;
}

/* ---- Disk: rules 1 and 2 ---- */

static void die_of_disk(struct replica *n, const char *what, int rv)
{
    const char *why = n->config.io->errmsg[0] != '\0' ? n->config.io->errmsg : raft_strerror(rv);
    replica_die(n, ERR_IO, "cannot %s: %s", what, why);
}

/* A write under way: ours, handed to the original. Rule 12. */
struct appending {
    struct raft_io_append append;
    struct raft_io_append *req; /* the library's */
    struct replica *replica;
};

static void append_done(struct raft_io_append *append, int status)
{
    struct appending *a = CONTAINER_OF(append, struct appending, append);
    if (status != 0 && status != RAFT_CANCELED) {
        die_of_disk(a->replica, "append to the log", status);
    }
    a->req->cb(a->req, status);
    free(a);
}

static int io_append(struct raft_io *io, struct raft_io_append *req, const struct raft_entry entries[], unsigned count,
                     raft_io_append_cb cb)
{
    struct replica *n = replica_of(io);
    struct appending *a = xcalloc(1, sizeof *a);
    a->replica = n;
    a->req = req;
    req->cb = cb;
    int rv = n->dead ? RAFT_IOERR : n->io.original.append(io, &a->append, entries, count, append_done);
    if (rv != 0) {
        die_of_disk(n, "append to the log", rv);
        stick(n, (struct stuck){.append = req});
        free(a);
    }
    return 0;
}

static int io_truncate(struct raft_io *io, raft_index index)
{
    struct replica *n = replica_of(io);
    int rv = n->dead ? 0 : n->io.original.truncate(io, index);
    if (rv != 0) {
        die_of_disk(n, "truncate the log", rv);
    }
    return 0;
}

static int io_set_term(struct raft_io *io, raft_term term)
{
    struct replica *n = replica_of(io);
    int rv = n->dead ? RAFT_IOERR : n->io.original.set_term(io, term);
    if (rv != 0) {
        die_of_disk(n, "write the term", rv);
    }
    return 0;
}

static int io_set_vote(struct raft_io *io, raft_id id)
{
    struct replica *n = replica_of(io);
    int rv = n->dead ? RAFT_IOERR : n->io.original.set_vote(io, id);
    if (rv != 0) {
        die_of_disk(n, "write the vote", rv);
    }
    return 0;
}

/* The leader's snapshot on its way to the disk. */
struct install_put {
    struct raft_io_snapshot_put put;  /* ours, handed to the original */
    struct raft_io_snapshot_put *req; /* the library's */
    struct replica *replica;
};

static void install_put_done(struct raft_io_snapshot_put *put, int status)
{
    status = failpoint(FAILPOINT_install_after_put) ? RAFT_IOERR : status;
    struct install_put *p = CONTAINER_OF(put, struct install_put, put);
    if (status == 0) {
        replica_snapshot_stored(p->replica);
    } else if (status != RAFT_CANCELED) {
        die_of_disk(p->replica, "store the leader's snapshot", status);
    }
    p->req->cb(p->req, status);
    free(p);
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
                           const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    struct replica *n = replica_of(io);
    if (replica_snapshot_is_ours(n, snapshot)) {
        return replica_snapshot_put(n, trailing, req, snapshot, cb);
    }
    struct install_put *p = xcalloc(1, sizeof *p);
    p->replica = n;
    p->req = req;
    req->cb = cb;
    int rv = n->dead || failpoint(FAILPOINT_install_before_put)
                 ? RAFT_IOERR
                 : n->io.original.snapshot_put(io, trailing, &p->put, snapshot, install_put_done);
    if (rv != 0) {
        die_of_disk(n, "store the leader's snapshot", rv);
        stick(n, (struct stuck){.put = req});
        free(p);
    }
    return 0;
}

struct snapshot_get {
    struct raft_io_snapshot_get get;  /* ours, handed to the original */
    struct raft_io_snapshot_get *req; /* the library's */
    struct replica *replica;
    struct raft_snapshot *snapshot;
    struct snapfile_map state;
    int code;
    struct error err;
};

static struct raft_snapshot *empty_snapshot(void)
{
    struct raft_snapshot *s = raft_calloc(1, sizeof *s);
    assert(s != NULL);
    s->index = UINT64_MAX; /* never older than the one it asked for */
    raft_configuration_init(&s->configuration);
    s->bufs = raft_calloc(1, sizeof *s->bufs);
    s->n_bufs = 1;
    assert(s->bufs != NULL);
    return s;
}

static void snapshot_give(struct snapshot_get *g, struct raft_snapshot *snapshot)
{
    g->req->cb(g->req, snapshot != NULL ? snapshot : empty_snapshot(), 0); /* rule 6 */
    free(g);
}

/* Any thread. */
static void snapshot_verify(void *arg)
{
    struct snapshot_get *g = arg;
    g->code = snapshot_check(g->state.p, g->state.n, &g->err);
}

static void snapshot_verified(void *arg)
{
    struct snapshot_get *g = arg;
    struct replica *n = g->replica;
    struct raft_snapshot *s = g->snapshot;
    const struct raft_buffer *data = &s->bufs[0];
    assert(n->io.verifying > 0);
    n->io.verifying--;
    snapfile_unmap(&g->state);
    if (g->code != 0) { /* rule 13 */
        replica_die(n, ERR_CORRUPT, "the snapshot on this master's disk is damaged: %s", g->err.message);
        raft_configuration_close(&s->configuration);
        raft_free(data->base);
        raft_free(s->bufs);
        raft_free(s);
        s = NULL;
    }
    snapshot_give(g, s);
    if (n->io.close_cb != NULL) {
        replica_io_close(n->config.io, n->io.close_cb);
    }
}

static void snapshot_got(struct raft_io_snapshot_get *get, struct raft_snapshot *snapshot, int status)
{
    struct snapshot_get *g = CONTAINER_OF(get, struct snapshot_get, get);
    struct replica *n = g->replica;
    if (status != 0) {
        if (!n->closing) {
            log_error(n->config.log, "node", "cannot read the snapshot for another master: %s", n->config.io->errmsg);
        }
        snapshot_give(g, NULL);
        return;
    }
    n->io.loaded_index = snapshot->index;
    n->io.loaded_term = snapshot->term;
    g->snapshot = snapshot;
    if (n->closing ||
        snapfile_open(n->snapshot_dir, snapshot->bufs[0].base, snapshot->bufs[0].len, &g->state, &g->err) != 0) {
        snapshot_give(g, snapshot); /* whoever sends it looks for the file, too, and finds out */
        return;
    }
    n->io.verifying++;
    if (n->config.run_async != NULL) {
        n->config.run_async(n->config.run_async_data, snapshot_verify, snapshot_verified, g);
    } else {
        snapshot_verify(g);
        snapshot_verified(g);
    }
}

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb)
{
    struct replica *n = replica_of(io);
    struct snapshot_get *g = xcalloc(1, sizeof *g);
    g->req = req;
    g->replica = n;
    req->cb = cb;
    int rv = n->io.original.snapshot_get(io, &g->get, snapshot_got);
    if (rv != 0) {
        snapshot_got(&g->get, NULL, rv); /* the library does not touch the request behind this call */
    }
    return 0;
}

/* ---- Closing ---- */

static void io_closed(struct raft_io *io)
{
    struct replica *n = replica_of(io);
    LIST_FOR_SAFE(it, &n->io.stuck)
    {
        struct stuck *s = LIST_ENTRY(it, struct stuck, link);
        list_remove(&s->link);
        if (s->append != NULL) {
            s->append->cb(s->append, RAFT_CANCELED);
        } else if (s->put != NULL) {
            s->put->cb(s->put, RAFT_CANCELED);
        } else {
            s->send->cb(s->send, RAFT_CANCELED);
        }
        free(s);
    }
    replica_snapshot_cancel(n);
    n->io.close_cb(io);
}

void replica_io_close(struct raft_io *io, raft_io_close_cb cb)
{
    struct replica *n = replica_of(io);
    n->io.close_cb = cb;
    drop_held(n);
    atomic_store(&n->snapshot.stop, true);
    if (!n->snapshot.writing && !n->snapshot.sweeping &&
        n->io.verifying == 0) { /* else the worker's end comes back here: its memory is ours */
        n->io.original.close(io, io_closed);
    }
}

void replica_io_wrap(struct replica *n)
{
    struct raft_io *io = n->config.io;
    n->io.original = *io;
    io->load = io_load;
    io->start = io_start;
    io->time = io_time;
    io->send = io_send;
    io->append = io_append;
    io->truncate = io_truncate;
    io->set_term = io_set_term;
    io->set_vote = io_set_vote;
    io->snapshot_put = io_snapshot_put;
    io->snapshot_get = io_snapshot_get;
    io->close = replica_io_close;
}

void replica_io_unwrap(struct replica *n)
{
    struct raft_io *io = n->config.io;
    const struct raft_io *o = &n->io.original;
    io->load = o->load;
    io->start = o->start;
    io->time = o->time;
    io->send = o->send;
    io->append = o->append;
    io->truncate = o->truncate;
    io->set_term = o->set_term;
    io->set_vote = o->set_vote;
    io->snapshot_put = o->snapshot_put;
    io->snapshot_get = o->snapshot_get;
    io->close = o->close;
}
