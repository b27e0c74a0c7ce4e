#include "master/rescue/candidate.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/timefmt.h"

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int candidate_read(const char *dir, const struct pki_ring *seal_keys, struct candidate *out, struct error *err)
{
    struct pki_ring own = {0};
    struct master_config config;
    CLEANUP_FREE char *raft = xasprintf("%s/raft", dir);
    memset(out, 0, sizeof *out);
    snprintf(out->dir, sizeof out->dir, "%s", dir);
    if (!is_dir(dir)) {
        return error_set(err, ERR_NOT_FOUND, "%s is no directory; give the data directory of a master", dir);
    }
    bool whole = master_config_load(dir, &config, NULL) == 0;
    out->id = whole ? config.id : 0;
    if (seal_keys == NULL && master_config_seal_keys(&config, &own, NULL) == 0) {
        seal_keys = &own;
    }
    int rv = disk_replay(!whole && !is_dir(raft) ? dir : raft, seal_keys, &out->log, err);
    pki_ring_wipe(&own);
    if (rv == 0) {
        const struct view *v = store_committed(out->log.store);
        out->revision = view_revision(v);
        out->objects = view_count(v, NULL);
    }
    return rv;
}

void candidate_close(struct candidate *c)
{
    disk_replay_close(&c->log);
}

void candidate_print(const struct candidate *c, FILE *out)
{
    const struct disk_report *r = &c->log.report;
    char when[TIMEFMT_SIZE] = "not known";
    if (c->log.last_wall_ms != 0) {
        timefmt_rfc3339(c->log.last_wall_ms, when);
    }
    if (r->state == DISK_NEW) {
        fprintf(out, "  no log: nothing was ever written, or all of it is gone\n");
        return;
    }
    if (c->id != 0) {
        fprintf(out, "  master            %" PRIu64 "\n", c->id);
    }
    fprintf(out, "  term, vote        %" PRIu64 ", %" PRIu64 "\n", r->term, r->voted_for);
    fprintf(out,
            "  last entry        %" PRIu64 " of term %" PRIu64 " (snapshot at %" PRIu64 ", %" PRIu64
            " entries behind it)\n",
            r->last_index, r->last_term, r->snapshot_index, r->entries);
    fprintf(out, "  state             revision %" PRIu64 ", %" PRIu64 " objects\n", c->revision, c->objects);
    fprintf(out, "  last transaction  %s\n", when);
    fprintf(out, "  masters");
    for (unsigned i = 0; i < r->configuration.n; i++) {
        const struct raft_server *s = &r->configuration.servers[i];
        fprintf(out, "%s%llu at %s%s", i == 0 ? "           " : ", ", s->id, s->address,
                s->role == RAFT_VOTER ? "" : " (does not vote)");
    }
    fprintf(out, "%s\n", r->configuration.n == 0 ? "           not known" : "");
    if (r->state == DISK_DAMAGED) {
        fprintf(out, "  condition         damaged: %s\n", r->damage);
        fprintf(out, "                    (the above is what can be read before the damage)\n");
    } else {
        fprintf(out, "  condition         whole%s\n",
                r->unfinished ? "; a last write was cut short, it was never acknowledged and does not count" : "");
    }
}
