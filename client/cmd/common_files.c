/* What -f, -k, -R, -l, --validate, --skip-unknown and --record make of the manifests that a command is given. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd/common.h"
#include "client/manifest/kustomize.h"
#include "proto/schema/selector.h"
#include "proto/text/text.h"

bool common_files_given(const struct rctl *r)
{
    return args_given(&r->args, "filename") || args_given(&r->args, "kustomize");
}

static void warn_of_fields(const char *text, void *data)
{
    rctl_note(data, "Warning: %s", text);
}

static int check_validate(const struct rctl *r, struct error *err)
{
    static const char *const known[] = {"true", "strict", "warn", "ignore", "false"};
    for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(opt(r, "validate"), known[i]) == 0) {
            return 0;
        }
    }
    return error_set(err, ERR_USAGE, "--validate is strict (true), warn or ignore (false), not \"%s\"",
                     opt(r, "validate"));
}

/* One path of -f. */
static int read_path(struct rctl *r, const char *path, const struct manifest_options *o, struct manifest *out,
                     struct error *err)
{
    if (strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0) {
        return error_set(err, ERR_UNSUPPORTED,
                         "manifests are not fetched from the web yet; fetch it, look at it, and hand it over: "
                         "curl -fsSL %s | rctl %s -f -",
                         path, r->command_name);
    }
    return manifest_read(&r->arena, path, o, out, err);
}

/* -f a,b: both; a file whose name has a comma is read as well. */
static int read_filename(struct rctl *r, const char *given, const struct manifest_options *o, struct manifest *out,
                         struct error *err)
{
    if (strchr(given, ',') == NULL || access(given, F_OK) == 0) {
        return read_path(r, given, o, out, err);
    }
    int rc = 0;
    char *copy = arena_strdup(&r->arena, given), *save = NULL;
    for (char *part = strtok_r(copy, ",", &save); part != NULL && rc == 0; part = strtok_r(NULL, ",", &save)) {
        rc = read_path(r, part, o, out, err);
    }
    return rc;
}

static int read_kustomize(struct rctl *r, const struct manifest_options *o, struct manifest *out, struct error *err)
{
    const char *dir = opt(r, "kustomize");
    if (args_given(&r->args, "filename")) {
        return error_set(err, ERR_USAGE, "-f and -k cannot be given together");
    }
    struct value *docs = NULL;
    int rc = kustomize_build(&r->arena, dir, &docs, err);
    VALUE_FOR(i, docs)
    {
        rc = rc != 0 ? rc : manifest_add(&r->arena, value_item(docs, i), dir, o, out, err);
    }
    return rc;
}

/* Documents of kinds that are not there: all of them are told, whether they stop the command or are left out. */
static int tell_unknown(struct rctl *r, const struct manifest *m, struct error *err)
{
    bool skip = opt_flag(r, "skip-unknown");
    if (m->unknown_count == 0) {
        return 0;
    }
    if (m->unknown_count == 1 && m->count == 0 && !skip) {
        return error_set(err, ERR_INVALID, "%s", m->unknown[0]);
    }
    for (unsigned i = 0; i < m->unknown_count; i++) {
        rctl_note(r, "%s%s", skip ? "left out: " : "", m->unknown[i]);
    }
    if (skip && m->count > 0) {
        return 0;
    }
    if (m->count == 0) {
        return error_set(err, ERR_INVALID, "none of the %u objects is of a kind that is there: nothing was done",
                         m->unknown_count);
    }
    return error_set(err, ERR_INVALID,
                     "%u of %u objects are of kinds that are not there: nothing was done; --skip-unknown leaves them "
                     "out and goes on with the rest",
                     m->unknown_count, m->unknown_count + m->count);
}

static int keep_selected(struct rctl *r, struct manifest *m, struct error *err)
{
    struct selector *s;
    int rc = selector_parse(&r->arena, str_of(opt(r, "selector")), &s, err);
    unsigned kept = 0;
    for (unsigned i = 0; i < m->count && rc == 0; i++) {
        if (selector_matches_value(s, value_path(m->items[i].doc, "metadata.labels"))) {
            m->items[kept++] = m->items[i];
        }
    }
    m->count = rc == 0 ? kept : m->count;
    return rc;
}

int common_manifests(struct rctl *r, struct manifest *out, struct error *err)
{
    unsigned n = args_count(&r->args, "filename");
    if (!common_files_given(r)) {
        return error_set(err, ERR_USAGE, "which manifest? Name it with -f FILE or -k DIR");
    }
    if (r->args.words_count > 0) {
        return error_set(err, ERR_USAGE, "\"%s\" is not expected beside -f", r->args.words[0]);
    }
    int rc = check_validate(r, err);
    struct manifest_options o = {.ns = rctl_namespace(r),
                                 .ns_given = opt(r, "namespace") != NULL,
                                 .lenient = common_lenient(r),
                                 .recursive = opt_flag(r, "recursive"),
                                 .skip_unknown = true,
                                 .warn = strcmp(opt(r, "validate"), "warn") == 0 ? warn_of_fields : NULL,
                                 .data = r};
    for (unsigned i = 0; i < n && rc == 0; i++) {
        rc = read_filename(r, args_at(&r->args, "filename", i), &o, out, err);
    }
    if (rc == 0 && args_given(&r->args, "kustomize")) {
        rc = read_kustomize(r, &o, out, err);
    }
    rc = rc != 0 ? rc : tell_unknown(r, out, err);
    if (rc == 0 && opt(r, "selector") != NULL) {
        rc = keep_selected(r, out, err);
    }
    for (unsigned i = 0; i < out->count && rc == 0; i++) {
        common_record(r, out->items[i].doc, false);
    }
    return rc;
}

void common_record(struct rctl *r, struct value *doc, bool secret)
{
    if (!opt_flag(r, "record")) {
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    secret = secret || str_is(value_to_str(value_get(doc, "kind")), "Secret");
    if (secret) { /* values may stand in the words */
        buf_printf(&b, "rctl %s", r->command_name);
    }
    for (int i = 0; i < r->argc && !secret; i++) {
        const char *slash = i == 0 ? strrchr(r->argv[0], '/') : NULL;
        buf_printf(&b, "%s%s", i > 0 ? " " : "", slash == NULL ? r->argv[i] : slash + 1);
    }
    if (!r->recorded) {
        rctl_note(r, "Flag --record is old: \"rctl annotate ... " CHANGE_CAUSE "=TEXT\" says the cause in your words");
        r->recorded = true;
    }
    struct value *annotations =
        value_ensure_map(&r->arena, value_ensure_map(&r->arena, doc, "metadata"), "annotations");
    value_set(&r->arena, annotations, CHANGE_CAUSE, value_str(&r->arena, buf_str(&b)));
}
