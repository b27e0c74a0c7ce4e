/* rctl backup save, verify, show.
 *
 * save: a master streams the state and the keys inside TLS (proto/backup/backup.h); here it is checked record by
 * record, encrypted with the passphrase and written to FILE.partial, which becomes FILE only when the last record
 * has come, all hashes fit and the disk has it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/passphrase.h"
#include "base/timefmt.h"
#include "client/cmd/common.h"
#include "proto/backup/io.h"
#include "proto/text/text.h"

#define SILENCE_MS 60000 /* of the master, after which a backup is given up */
#define STEP_MS    500

#define OPTION_ROW_PASSPHRASE                                                                                          \
    {                                                                                                                  \
        "passphrase-file", 0, OPTION_VALUE, NULL, NULL, "FILE",                                                        \
            "its first line is the passphrase (\"-\": standard input); otherwise it is asked for"                      \
    }

static int read_passphrase(struct rctl *r, bool fresh, struct buf *out, struct error *err)
{
    return passphrase_read(opt(r, "passphrase-file"), "--passphrase-file",
                           fresh ? "Passphrase for the backup" : "Passphrase of the backup", fresh,
                           BACKUP_PASSPHRASE_MIN, out, err);
}

/* ---- What a backup tells about itself ---- */

struct contents {
    struct backup_meta meta;
    struct backup_end *end; /* NULL: not come yet */
};

static int on_meta(void *data, const struct backup_meta *meta, struct error *err)
{
    (void)err;
    ((struct contents *)data)->meta = *meta;
    return 0;
}

static int on_end(void *data, const struct backup_end *end, struct error *err)
{
    (void)err;
    ((struct contents *)data)->end = xmemdup(end, sizeof *end);
    return 0;
}

static const char *size_text(struct arena *a, uint64_t bytes)
{
    return bytes >= 10000000 ? arena_printf(a, "%" PRIu64 " MB", bytes / 1000000)
           : bytes >= 10000  ? arena_printf(a, "%" PRIu64 " kB", bytes / 1000)
                             : arena_printf(a, "%" PRIu64 " bytes", bytes);
}

static const char *one_line(struct arena *a, const struct contents *c)
{
    return arena_printf(a, "cluster %s at revision %" PRIu64 ", %" PRIu64 " objects%s", c->meta.cluster,
                        c->meta.revision, c->end->objects, c->meta.stale ? " (stale: taken without a quorum)" : "");
}

/* ---- save ---- */

static const struct option_row save_options[] = {
    OPTION_ROW_PASSPHRASE,
    {"force", 0, OPTION_FLAG, NULL, NULL, NULL, "replace FILE if it exists"},
    {"stale", 0, OPTION_FLAG, NULL, NULL, NULL,
     "what one master knows, also without a quorum: may lack the newest writes"},
};

struct saving {
    struct rctl *r;
    const char *path, *partial; /* partial NULL: standard output */
    int fd;
    struct backup_reader *check;
    struct backup_sealer *sealer;
    struct contents contents;
    struct buf out;
    uint64_t received, written;
    struct error error; /* code 0: none */
};

static void write_out(struct saving *s)
{
    for (size_t at = 0; s->error.code == 0 && at < s->out.size;) {
        ssize_t n = write(s->fd, s->out.data + at, s->out.size - at);
        if (n < 0 && errno != EINTR) {
            error_set_errno(&s->error, errno, "write %s", s->partial == NULL ? "to standard output" : s->partial);
        }
        at += n > 0 ? (size_t)n : 0;
    }
    s->written += s->out.size;
    buf_reset(&s->out);
}

static void save_data(struct mp payload, void *data)
{
    struct saving *s = data;
    struct str piece;
    if (s->error.code != 0) {
        return;
    }
    if (!mp_read_bin(&payload, &piece)) {
        error_set(&s->error, ERR_PROTOCOL, "the master sends what is no piece of a backup");
        return;
    }
    s->received += piece.n;
    if (backup_reader_feed(s->check, piece.p, piece.n, &s->error) == 0) {
        backup_sealer_feed(s->sealer, piece.p, piece.n, &s->out);
        write_out(s);
    }
}

static void receive(struct saving *s)
{
    static const struct api_stream_events events = {.on_data = save_data};
    struct api_stream *stream;
    struct rctl *r = s->r;
    struct value *params = value_map(&r->arena);
    if (opt_flag(r, "stale")) {
        value_set(&r->arena, params, "stale", value_bool(&r->arena, true));
    }
    if (api_stream_open(r->api, "backup", params, &events, s, &stream, &s->error) != 0) {
        return;
    }
    uint64_t before = s->received;
    for (int64_t silent_ms = 0; s->error.code == 0 && !*api_stream_ended(stream);) {
        bool ended = api_run(r->api, api_stream_ended(stream), STEP_MS);
        silent_ms = ended || s->received > before ? 0 : silent_ms + STEP_MS;
        before = s->received;
        if (silent_ms >= SILENCE_MS) {
            error_set(&s->error, ERR_TIMEOUT, "the master has sent nothing for %d s", SILENCE_MS / 1000);
        }
    }
    struct error end = {0};
    int rc = api_stream_close(stream, &end);
    if (s->error.code == 0 && rc != 0) {
        s->error = end;
        error_wrap(&s->error, "the backup broke off after %s", size_text(&r->arena, s->received));
    }
    if (s->error.code == 0) {
        backup_reader_finish(s->check, &s->error);
    }
}

/* The rename that makes it a backup, on disk. Without --force a file that has appeared meanwhile stays. */
static void finish_file(struct saving *s)
{
    if (s->partial == NULL) {
        return;
    }
    struct error *err = &s->error;
    bool force = opt_flag(s->r, "force");
    if (fsync(s->fd) != 0) {
        error_set_errno(err, errno, "sync %s", s->partial);
    } else if (renameat2(AT_FDCWD, s->partial, AT_FDCWD, s->path, force ? 0 : RENAME_NOREPLACE) != 0 &&
               (force || errno != EINVAL || rename(s->partial, s->path) != 0)) {
        error_set_errno(err, errno, "rename %s to %s", s->partial, s->path);
    } else {
        int rv = fs_sync_parent(s->path);
        if (rv != 0) {
            error_set_errno(err, rv, "sync the directory of %s", s->path);
        }
    }
}

static int open_output(struct saving *s, struct error *err)
{
    if (strcmp(s->path, "-") == 0) {
        s->fd = fileno(s->r->raw_out);
        return !isatty(s->fd) ? 0
                              : error_set(err, ERR_USAGE,
                                          "a backup is no text for a terminal: redirect it (> FILE), or name a file");
    }
    if (!opt_flag(s->r, "force") && access(s->path, F_OK) == 0) {
        return error_set(err, ERR_EXISTS, "%s exists; give another name, or --force to replace it", s->path);
    }
    s->partial = arena_printf(&s->r->arena, "%s.partial", s->path);
    s->fd = open(s->partial, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    return s->fd >= 0 ? 0 : error_set_errno(err, errno, "create %s", s->partial);
}

static int save_with(struct saving *s, struct str passphrase)
{
    struct error *err = &s->error;
    if (backup_sealer_new(passphrase, 0, &s->out, &s->sealer, err) != 0 || rctl_connect(s->r, err) != 0 ||
        open_output(s, err) != 0) {
        return rctl_fail(s->r, err);
    }
    write_out(s);
    if (err->code == 0) {
        receive(s);
    }
    if (err->code == 0) {
        backup_sealer_finish(s->sealer, &s->out);
        write_out(s);
    }
    if (err->code == 0) {
        finish_file(s);
    }
    if (err->code != 0) {
        int code = rctl_fail(s->r, err);
        rctl_note(s->r, "hint: %s is no backup%s; run the same command again",
                  s->partial == NULL ? "what was written" : s->partial,
                  s->partial == NULL ? "" : ", only its beginning");
        return code;
    }
    rctl_note(s->r, "%s saved: %s, %s", s->partial == NULL ? "backup" : s->path, one_line(&s->r->arena, &s->contents),
              size_text(&s->r->arena, s->written));
    return EXIT_DONE;
}

static int run_save(struct rctl *r)
{
    if (r->args.words_count != 1) {
        return rctl_usage(r, "into which file? (one name, or - for standard output)");
    }
    struct saving s = {.r = r, .path = r->args.words[0], .fd = -1};
    if (strcmp(s.path, "-") != 0 && !opt_flag(r, "force") &&
        access(s.path, F_OK) == 0) { /* before a passphrase is asked for */
        error_set(&s.error, ERR_EXISTS, "%s exists; give another name, or --force to replace it", s.path);
        return rctl_fail(r, &s.error);
    }
    CLEANUP_BUF_WIPE struct buf passphrase = BUF_INIT;
    if (read_passphrase(r, true, &passphrase, &s.error) != 0) {
        return rctl_fail(r, &s.error);
    }
    s.check = backup_reader_new(&(struct backup_events){.data = &s.contents, .on_meta = on_meta, .on_end = on_end});
    int code = save_with(&s, buf_str(&passphrase));
    if (s.partial != NULL && s.fd >= 0) {
        close(s.fd);
    }
    backup_reader_free(s.check);
    backup_sealer_free(s.sealer);
    buf_close(&s.out);
    free(s.contents.end);
    return code;
}

static const struct command backup_save = {
    .name = "save",
    .usage = "FILE [--passphrase-file FILE] [--force] [--stale]",
    .summary = "Save the whole state, CA and keys into one encrypted file",
    .examples = "  # asks for a passphrase; without it the file cannot be read\n"
                "  rctl backup save cluster.rvb\n"
                "  # every night, by a timer\n"
                "  rctl backup save --passphrase-file /root/passphrase /backups/$(date +%F).rvb\n"
                "  # to another machine\n"
                "  rctl backup save --passphrase-file /root/passphrase - | ssh vault 'cat > cluster.rvb'\n",
    .options = save_options,
    .options_count = ARRAY_SIZE(save_options),
    .run = run_save,
};

/* ---- verify, show ---- */

struct looking {
    const char *path;
    struct contents contents;
    struct backup_file_info info;
    uint64_t bytes;
};

static int look(struct rctl *r, struct looking *l)
{
    struct error err = {0};
    CLEANUP_BUF_WIPE struct buf passphrase = BUF_INIT;
    bool in = strcmp(l->path, "-") == 0;
    CLEANUP_CLOSE int file = in ? -1 : open(l->path, O_RDONLY | O_CLOEXEC);
    if (!in && file < 0) {
        error_set_errno(&err, errno, "open %s", l->path);
        return rctl_fail(r, &err);
    }
    if (read_passphrase(r, false, &passphrase, &err) != 0 ||
        backup_read_fd(in ? STDIN_FILENO : file, in ? "standard input" : l->path, buf_str(&passphrase),
                       &(struct backup_events){.data = &l->contents, .on_meta = on_meta, .on_end = on_end}, &l->info,
                       &l->bytes, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return EXIT_DONE;
}

static const struct option_row look_options[] = {
    OPTION_ROW_PASSPHRASE,
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "json or yaml"},
};

static int run_verify(struct rctl *r)
{
    if (r->args.words_count == 0) {
        return rctl_usage(r, "which file? (- for standard input)");
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < r->args.words_count; i++) {
        struct looking l = {.path = r->args.words[i]};
        int one = look(r, &l);
        if (one == EXIT_DONE) {
            fprintf(r->out, "%s is whole: %s\n", strcmp(l.path, "-") == 0 ? "standard input" : l.path,
                    one_line(&r->arena, &l.contents));
        }
        code = code == EXIT_DONE ? one : code;
        free(l.contents.end);
    }
    return code;
}

static const struct command backup_verify = {
    .name = "verify",
    .usage = "FILE... [--passphrase-file FILE]",
    .summary = "Decrypt backups and check every byte of them against their hashes",
    .examples = "  rctl backup verify cluster.rvb\n"
                "  # also that the state in it can be loaded, where reeve-master is installed\n"
                "  reeve-master restore --check cluster.rvb\n",
    .options = look_options,
    .options_count = 1,
    .run = run_verify,
};

static struct value *document(struct arena *a, const struct looking *l)
{
    const struct backup_meta *m = &l->contents.meta;
    const struct backup_end *e = l->contents.end;
    char time[TIMEFMT_SIZE], sha[2 * BACKUP_HASH_SIZE + 1];
    timefmt_rfc3339(m->wall_ms, time);
    for (unsigned i = 0; i < BACKUP_HASH_SIZE; i++) {
        snprintf(sha + 2 * i, 3, "%02x", e->sha256[i]);
    }
    struct value *doc = value_map(a), *kinds = value_map(a);
    value_set(a, doc, "cluster", value_cstr(a, m->cluster));
    value_set(a, doc, "revision", value_int(a, (int64_t)m->revision));
    value_set(a, doc, "time", value_cstr(a, time));
    value_set(a, doc, "stale", value_bool(a, m->stale));
    value_set(a, doc, "version", value_cstr(a, m->version));
    value_set(a, doc, "format", value_int(a, l->info.format));
    value_set(a, doc, "fileBytes", value_int(a, (int64_t)l->bytes));
    value_set(a, doc, "stateBytes", value_int(a, (int64_t)e->state_bytes));
    value_set(a, doc, "objectBytes", value_int(a, (int64_t)e->object_bytes));
    value_set(a, doc, "objects", value_int(a, (int64_t)e->objects));
    value_set(a, doc, "kinds", kinds);
    for (unsigned i = 0; i < e->kinds_count; i++) {
        value_set(a, kinds, arena_strdup(a, e->kinds[i].name), value_int(a, (int64_t)e->kinds[i].count));
    }
    value_set(a, doc, "nextMasterId", value_int(a, (int64_t)m->next_master_id));
    value_set(a, doc, "stateHash", value_strf(a, "%016" PRIx64 "%016" PRIx64, e->hash_hi, e->hash_lo));
    value_set(a, doc, "sha256", value_cstr(a, sha));
    return doc;
}

static void print_text(struct rctl *r, const struct looking *l)
{
    const struct backup_meta *m = &l->contents.meta;
    const struct backup_end *e = l->contents.end;
    struct arena *a = &r->arena;
    char time[TIMEFMT_SIZE], age[TIMEFMT_SIZE];
    timefmt_rfc3339(m->wall_ms, time);
    timefmt_age(MAX(rctl_now_ms() - m->wall_ms, 0), age);
    fprintf(r->out, "Cluster:     %s\nRevision:    %" PRIu64 "%s\nTime:        %s (%s ago)\n", m->cluster, m->revision,
            m->stale ? " (stale: taken without a quorum)" : "", time, age);
    fprintf(r->out, "Made by:     Reeve %s, format %u\n", m->version, l->info.format);
    fprintf(r->out, "Size:        %s", size_text(a, l->bytes));
    fprintf(r->out, " (objects %s)\n", size_text(a, e->object_bytes));
    fprintf(r->out, "Encryption:  AES-256-GCM, scrypt N=2^%u r=%u p=%u\n", l->info.log2_n, l->info.r, l->info.p);
    fprintf(r->out, "State hash:  %016" PRIx64 "%016" PRIx64 "\n", e->hash_hi, e->hash_lo);
    fprintf(r->out, "Objects:     %" PRIu64 "\n", e->objects);
    for (unsigned i = 0; i < e->kinds_count; i++) {
        fprintf(r->out, "  %-18s %8" PRIu64 "\n", e->kinds[i].name, e->kinds[i].count);
    }
}

static int run_show(struct rctl *r)
{
    int code;
    if (r->args.words_count != 1) {
        return rctl_usage(r, "which file? (one; - for standard input)");
    }
    if (!common_form_valid(r, &code)) {
        return code;
    }
    struct looking l = {.path = r->args.words[0]};
    code = look(r, &l);
    if (code == EXIT_DONE && opt(r, "output") == NULL) {
        print_text(r, &l);
    } else if (code == EXIT_DONE) {
        common_print_form(r, document(&r->arena, &l));
    }
    free(l.contents.end);
    return code;
}

static const struct command backup_show = {
    .name = "show",
    .usage = "FILE [--passphrase-file FILE] [-o json|yaml]",
    .summary = "What a backup holds",
    .examples = "  rctl backup show cluster.rvb\n"
                "  rctl backup show -o json --passphrase-file /root/passphrase cluster.rvb\n",
    .options = look_options,
    .options_count = ARRAY_SIZE(look_options),
    .run = run_show,
};

static const struct command *const backup_subs[] = {&backup_save, &backup_verify, &backup_show, NULL};
const struct command command_backup = {
    .name = "backup",
    .usage = "save FILE | verify FILE | show FILE",
    .summary = "Save the cluster into one encrypted file; reeve-master restore makes a cluster of it again",
    .examples = "  rctl backup save cluster.rvb\n"
                "  rctl backup verify cluster.rvb\n"
                "  # on an empty machine\n"
                "  reeve-master restore --dir /var/lib/reeve --advertise 10.0.0.1:7400 cluster.rvb\n",
    .subs = backup_subs,
};
