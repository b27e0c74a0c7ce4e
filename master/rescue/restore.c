#include "master/rescue/restore.h"
#include "master/rescue/anew.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/passphrase.h"
#include "base/timefmt.h"
#include "master/auth/setup.h"
#include "master/master.h"
#include "master/record.h"
#include "proto/backup/io.h"

struct restore {
    const char *file, *passphrase_file;
    struct backup_meta meta;
    struct backup_end *end;
    char *ca, *ca_key;
    bool other_ca; /* the backup has no CA's key: these are new */
    struct pki_ring seal_keys;
    struct buf state; /* as it lies in the file; let go when it has been loaded */
    struct store *store;
};

/* ---- Reading ---- */

static int on_meta(void *data, const struct backup_meta *meta, struct error *err)
{
    (void)err;
    ((struct restore *)data)->meta = *meta;
    return 0;
}

static int on_keys(void *data, const struct backup_keys *keys, struct error *err)
{
    (void)err;
    struct restore *r = data;
    r->ca = xstrndup(keys->ca.p, keys->ca.n);
    r->ca_key = xstrndup(keys->ca_key.p, keys->ca_key.n);
    pki_ring_wipe(&r->seal_keys);
    pki_ring_add(&r->seal_keys, keys->seal_key);
    return 0;
}

static int on_state(void *data, const void *p, size_t n, struct error *err)
{
    struct restore *r = data;
    if (r->state.size + n > RESTORE_STATE_MAX) {
        return error_set(err, ERR_TOO_LARGE, "the state is larger than %llu MiB, more than a master can take up",
                         (unsigned long long)(RESTORE_STATE_MAX >> 20));
    }
    buf_append(&r->state, p, n);
    return 0;
}

static int on_end(void *data, const struct backup_end *end, struct error *err)
{
    (void)err;
    ((struct restore *)data)->end = xmemdup(end, sizeof *end);
    return 0;
}

static int read_file(struct restore *r, struct error *err)
{
    bool in = strcmp(r->file, "-") == 0;
    CLEANUP_CLOSE int file = in ? -1 : open(r->file, O_RDONLY | O_CLOEXEC);
    if (!in && file < 0) {
        return error_set_errno(err, errno, "open %s", r->file);
    }
    CLEANUP_BUF_WIPE struct buf passphrase = BUF_INIT;
    int rc = passphrase_read(r->passphrase_file, "--passphrase-file", "Passphrase of the backup", false, 0, &passphrase,
                             err);
    if (rc != 0) {
        return rc;
    }
    const struct backup_events events = {r, on_meta, on_keys, on_state, on_end};
    return backup_read_fd(in ? STDIN_FILENO : file, in ? "standard input" : r->file, buf_str(&passphrase), &events,
                          NULL, NULL, err);
}

/* The state in memory is the one that was saved: revision, counts and hash. */
static int load_state(struct restore *r, struct error *err)
{
    r->store = store_new(&(struct store_config){.env = env_real(), .seal_keys = &r->seal_keys});
    int rc = store_restore(r->store, r->state.data, r->state.size, MAX(r->meta.index, 1u), err);
    buf_close(&r->state);
    if (rc != 0) {
        error_wrap(err, "%s", r->file);
        return rc;
    }
    const struct view *v = store_committed(r->store);
    struct view_hash hash = view_state_hash(v);
    if (view_revision(v) != r->meta.revision || view_count(v, NULL) != r->end->objects ||
        view_bytes(v) != r->end->object_bytes || hash.lo != r->end->hash_lo || hash.hi != r->end->hash_hi) {
        return error_set(err, ERR_CORRUPT,
                         "%s: the state in it (revision %" PRIu64 ", %" PRIu64
                         " objects) is not the one that was saved (revision %" PRIu64 ", %" PRIu64 " objects)",
                         r->file, view_revision(v), view_count(v, NULL), r->meta.revision, r->end->objects);
    }
    return 0;
}

static int read_all(struct restore *r, struct error *err)
{
    int rc = read_file(r, err);
    if (rc == 0 && r->ca_key[0] == '\0') {
        r->other_ca = true;
        free(TAKE_PTR(r->ca));
        pki_free_key(TAKE_PTR(r->ca_key));
        rc = pki_make_ca(r->meta.cluster, &r->ca, &r->ca_key, err);
    }
    if (rc == 0) {
        rc = setup_check_ca(r->ca, r->ca_key, err);
        if (rc != 0) {
            error_wrap(err, "%s: the CA's key in it does not belong to its certificate", r->file);
        }
    }
    return rc != 0 ? rc : load_state(r, err);
}

static void close_all(struct restore *r)
{
    store_free(r->store);
    buf_close(&r->state);
    free(r->end);
    free(r->ca);
    pki_free_key(r->ca_key);
    pki_ring_wipe(&r->seal_keys);
}

/* ---- A new course of history ---- */

/* By a clock that is behind the backup's, nobody knows: a number that two restores hardly have in common. */
static uint64_t seconds_since(const struct restore *r)
{
    int64_t ms = env_wall_ms(env_real()) - r->meta.wall_ms;
    uint32_t chance;
    env_random(env_real(), &chance, sizeof chance);
    return ms < 0 ? chance % 1000000 : (uint64_t)ms / 1000;
}

static int begin_anew(struct restore *r, struct master_config *c, struct error *err)
{
    uint64_t passed_s = seconds_since(r);
    const struct view *v = store_committed(r->store);
    c->id = MAX(r->meta.next_master_id, record_next_id_in(v)) + RESTORE_IDS_SPARED + passed_s;
    int rc = anew_begin(r->store, c->id, r->meta.term + 1,
                        view_revision(v) + RESTORE_REVISIONS_SPARED + passed_s * RESTORE_REVISIONS_A_S, err);
    return rc == 0 ? 0 : error_wrap(err, "%s: prepare the restored state", r->file);
}

/* ---- Words ---- */

static void print_other_ca(const struct restore *r)
{
    if (r->other_ca) {
        printf(
            "\nThe backup was taken without a quorum, and has not got the key of the cluster's CA. A restored cluster "
            "gets a\nnew CA: nodes have to join anew, and users need new client configurations.\n");
    }
}

static void print_contents(const struct restore *r)
{
    char time[TIMEFMT_SIZE];
    timefmt_rfc3339(r->meta.wall_ms, time);
    printf("cluster %s at revision %" PRIu64 " of %s: %" PRIu64 " objects%s", r->meta.cluster, r->meta.revision, time,
           r->end->objects, r->end->kinds_count == 0 ? "" : " (");
    for (unsigned i = 0; i < r->end->kinds_count; i++) {
        printf("%s%" PRIu64 " %s", i == 0 ? "" : ", ", r->end->kinds[i].count, r->end->kinds[i].name);
    }
    printf("%s%s\n", r->end->kinds_count == 0 ? "" : ")",
           r->meta.stale ? "; taken without a quorum: the newest writes may be missing" : "");
}

static void print_next(const struct restore *r, const struct master_config *c, const struct setup_tokens *tokens)
{
    printf("Restored: ");
    print_contents(r);
    printf("\nThe former masters must be stopped for good. Start this one, master %" PRIu64 ":\n\n"
           "    reeve-master run --dir %s\n\n"
           "More masters, each in an empty directory (the token is good for a day, once; more: rctl master add):\n\n"
           "    reeve-master join --dir DIR --listen HOST:PORT --token %s %s\n\n"
           "%s:\n\n"
           "    reeve-agent join --dir DIR --name NAME --token %s %s\n\n"
           "%s %s/admin.config.\n",
           c->id, c->dir, tokens->master, c->advertise,
           r->other_ca ? "Nodes" : "Agents come back by themselves if a master listens where they knew one; new nodes",
           tokens->node, c->agent_address,
           r->other_ca ? "A client configuration is"
                       : "Client configurations of the cluster stay good, but for the address; a new one is",
           c->dir);
    print_other_ca(r);
}

/* ---- The commands ---- */

int restore_run(struct master_config *c, const char *file, const char *passphrase_file, struct error *err)
{
    struct restore r = {.file = file, .passphrase_file = passphrase_file};
    struct setup_tokens tokens;
    int rc = setup_check_dir(c, err); /* before a passphrase is asked for */
    if (rc == 0) {
        rc = read_all(&r, err);
    }
    if (rc == 0) {
        snprintf(c->cluster, sizeof c->cluster, "%s", r.meta.cluster);
        setup_fill_defaults(c);
        c->bootstrap = false;
        rc = begin_anew(&r, c, err);
    }
    if (rc == 0) {
        struct store_fork *fork = store_fork_new(r.store);
        rc =
            setup_write_state(c, &(struct setup_keys){r.ca, r.ca_key, &r.seal_keys},
                              &(struct setup_state){fork, r.meta.term + 1, store_applied_index(r.store)}, &tokens, err);
        store_fork_free(fork);
    }
    if (rc == 0) {
        print_next(&r, c, &tokens);
        mem_wipe(&tokens, sizeof tokens);
    }
    close_all(&r);
    return rc;
}

int restore_check(const char *file, const char *passphrase_file, struct error *err)
{
    struct restore r = {.file = file, .passphrase_file = passphrase_file};
    int rc = read_all(&r, err);
    if (rc == 0) {
        printf("%s can be restored: ", strcmp(file, "-") == 0 ? "standard input" : file);
        print_contents(&r);
        print_other_ca(&r);
    }
    close_all(&r);
    return rc;
}
