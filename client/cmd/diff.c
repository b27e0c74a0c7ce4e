/* rctl diff: what apply would change, as the cluster itself sees it (its dry run), shown by diff or a program of the
 * user's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cmd/apply.h"
#include "proto/patch/patch.h"
#include "proto/text/text.h"

#define DIFF_SAME    0
#define DIFF_FOUND   1
#define DIFF_TROUBLE 2 /* the least of what is above 1: 1 says that there are differences */
#define WORDS_MAX    32u

static const struct option_row diff_options[] = {
    OPTION_ROWS_FILES,
    OPTION_ROW_SELECTOR,
    OPTION_ROWS_WRITE,
    {"server-side", 0, OPTION_FLAG, NULL, NULL, NULL, "merge by who manages which field, as apply --server-side does"},
    {"force-conflicts", 0, OPTION_FLAG, NULL, NULL, NULL, "with --server-side: take what others manage"},
    {"show-managed-fields", 0, OPTION_FLAG, NULL, NULL, NULL, "taken for the sake of scripts"},
};

/* ---- What is compared ---- */

/* Without what changes by itself, and without what apply keeps for itself. */
static struct value *comparable(struct rctl *r, const struct object *o, bool fresh)
{
    static const char *const noise[] = {"resourceVersion", "generation", "managedFields"}, *const born[] = {
                                                                                               "uid",
                                                                                               "creationTimestamp"};
    struct value *doc = value_copy(&r->arena, print_document(&r->arena, o));
    struct value *meta = value_get(doc, "metadata"), *annotations = value_get(meta, "annotations");
    for (unsigned i = 0; i < ARRAY_SIZE(noise); i++) {
        value_remove(meta, noise[i]);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(born) && fresh; i++) {
        value_remove(meta, born[i]);
    }
    value_remove(annotations, APPLY_ANNOTATION);
    if (annotations != NULL && value_count(annotations) == 0) {
        value_remove(meta, "annotations");
    }
    value_remove(doc, "status");
    return doc;
}

/* Values of Secrets are not shown; only whether they differ. */
static void mask(struct rctl *r, struct value *a, struct value *b)
{
    struct value *da = value_get(a, "data"), *db = value_get(b, "data");
    for (int side = 0; side < 2; side++) {
        struct value *mine = side == 0 ? da : db, *other = side == 0 ? db : da;
        for (unsigned i = 0; value_is_map(mine) && i < mine->map.count; i++) {
            const struct value *v = mine->map.members[i].value, *w = value_get_str_key(other, mine->map.members[i].key);
            if (v->type == VALUE_STR && str_starts(v->str, STR("***"))) {
                continue; /* masked from the other side */
            }
            bool differs = w != NULL && !value_equal(v, w);
            mine->map.members[i].value = value_cstr(&r->arena, !differs    ? "***"
                                                               : side == 0 ? "*** (before)"
                                                                           : "*** (after)");
            if (w != NULL) {
                value_set_str_key(&r->arena, other, mine->map.members[i].key,
                                  value_cstr(&r->arena, !differs    ? "***"
                                                        : side == 0 ? "*** (after)"
                                                                    : "*** (before)"));
            }
        }
    }
}

/* ---- Files ---- */

struct sides {
    char *dir, *live, *merged;
};

static int make_sides(struct rctl *r, struct sides *s, struct error *err)
{
    const char *tmp = getenv("TMPDIR");
    s->dir = arena_printf(&r->arena, "%s/rctl-diff-XXXXXX", tmp == NULL || *tmp == '\0' ? "/tmp" : tmp);
    if (mkdtemp(s->dir) == NULL) {
        return error_set_errno(err, errno, "make a directory to compare in, %s", s->dir);
    }
    s->live = arena_printf(&r->arena, "%s/LIVE", s->dir);
    s->merged = arena_printf(&r->arena, "%s/MERGED", s->dir);
    return mkdir(s->live, 0700) != 0 || mkdir(s->merged, 0700) != 0 ? error_set_errno(err, errno, "make %s", s->live)
                                                                    : 0;
}

static int write_side(struct rctl *r, const char *dir, const char *name, const struct value *doc, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    const char *path = arena_printf(&r->arena, "%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    yaml_write(&b, doc);
    bool written = f != NULL && fwrite(b.data, 1, b.size, f) == b.size;
    return f == NULL || fclose(f) != 0 || !written ? error_set(err, ERR_IO, "%s cannot be written", path) : 0;
}

static void remove_side(struct rctl *r, const struct manifest *m, const char *dir,
                        const char *(*name_of)(struct rctl *r, const struct manifest_item *item))
{
    for (unsigned i = 0; i < m->count; i++) {
        unlink(arena_printf(&r->arena, "%s/%s", dir, name_of(r, &m->items[i])));
    }
    rmdir(dir);
}

/* "apps.v1.Deployment.default.web" */
static const char *file_name(struct rctl *r, const struct manifest_item *item)
{
    char *name =
        arena_printf(&r->arena, "%s.%s.%s.%s", item->kind->api_version, item->kind->name, item->ns, item->name);
    for (char *p = name; *p != '\0'; p++) {
        *p = *p == '/' ? '.' : *p;
    }
    return name;
}

/* ---- The program that shows ---- */

static int show(struct rctl *r, const struct sides *s, struct error *err)
{
    static const char *const variables[] = {"REEVE_EXTERNAL_DIFF", "KUBECTL_EXTERNAL_DIFF"};
    const char *text = NULL, *argv[WORDS_MAX + 3];
    unsigned n = 0;
    for (unsigned i = 0; i < 2 && text == NULL; i++) {
        text = getenv(variables[i]);
        text = text != NULL && *text != '\0' ? text : NULL;
    }
    char *copy = arena_strdup(&r->arena, text == NULL ? "diff -u -N" : text), *save = NULL;
    for (char *w = strtok_r(copy, " \t", &save); w != NULL && n < WORDS_MAX; w = strtok_r(NULL, " \t", &save)) {
        argv[n++] = w;
    }
    argv[n++] = s->live;
    argv[n++] = s->merged;
    argv[n] = NULL;
    fflush(r->out);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fileno(r->raw_out) >= 0 ? fileno(r->raw_out) : 1, 1);
        execvp(argv[0], (char *const *)argv);
        fprintf(stderr, "error: \"%s\" cannot be run: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return error_set_errno(err, errno, "run %s", argv[0]);
    }
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code <= DIFF_FOUND ? code
                              : error_set(err, ERR_SYSTEM,
                                          "%s ended with exit code %d; REEVE_EXTERNAL_DIFF or "
                                          "KUBECTL_EXTERNAL_DIFF names another one",
                                          argv[0], code);
}

/* ---- The command ---- */

static int compare_item(struct rctl *r, const struct manifest_item *item, struct mp result, const struct sides *s,
                        bool *differs, struct error *err)
{
    CLEANUP_OBJECT struct object *live = NULL;
    CLEANUP_OBJECT struct object *merged = NULL;
    int rc = object_from_wire(mp_get(result, "object"), &merged, err);
    if (rc != 0) {
        return rc;
    }
    rc = api_get(r->api, item->kind, item->ns, item->name, false, &live, err);
    if (rc != 0 && rc != ERR_NOT_FOUND) {
        return rc;
    }
    struct value *a = live == NULL ? NULL : comparable(r, live, false), *b = comparable(r, merged, live == NULL);
    if (a != NULL && value_equal(a, b)) {
        return 0;
    }
    *differs = true;
    if (item->kind->secret) {
        mask(r, a, b);
    }
    rc = a == NULL ? 0 : write_side(r, s->live, file_name(r, item), a, err);
    return rc != 0 ? rc : write_side(r, s->merged, file_name(r, item), b, err);
}

/* DIFF_SAME, DIFF_FOUND, or an error's code. */
static int compare_all(struct rctl *r, const struct manifest *m, const struct sides *s, struct error *err)
{
    struct value *params = value_map(&r->arena), *objects = value_ensure_list(&r->arena, params, "objects");
    for (unsigned i = 0; i < m->count; i++) {
        value_append(&r->arena, objects, m->items[i].doc);
    }
    common_write_params(r, params, DRY_RUN_SERVER);
    if (opt_flag(r, "server-side")) {
        value_set(&r->arena, params, "serverSide", value_bool(&r->arena, true));
    }
    if (opt_flag(r, "force-conflicts")) {
        value_set(&r->arena, params, "force", value_bool(&r->arena, true));
    }
    CLEANUP_REPLY struct api_reply reply = {0};
    bool differs = false;
    int rc = api_write(r->api, &r->arena, "apply", params, &reply, err);
    struct mp_iter it = mp_iter(mp_get(reply.result, "results")); /* not in our order: namespaces come first */
    while (rc == 0 && mp_next(&it)) {
        struct mp object = mp_get(it.value, "object"), meta = mp_get(object, "metadata");
        for (unsigned i = 0; i < m->count && rc == 0; i++) {
            const struct manifest_item *item = &m->items[i];
            if (str_is(mp_str(mp_get(object, "kind")), item->kind->name) &&
                str_is(mp_str(mp_get(meta, "name")), item->name) &&
                (!item->kind->namespaced || str_is(mp_str(mp_get(meta, "namespace")), item->ns))) {
                rc = compare_item(r, item, it.value, s, &differs, err);
            }
        }
    }
    return rc != 0 ? rc : !differs ? DIFF_SAME : show(r, s, err);
}

static int trouble(struct rctl *r, const struct error *err)
{
    return MAX(common_fail(r, err), DIFF_TROUBLE);
}

static int run_diff(struct rctl *r)
{
    struct error err = {0};
    struct manifest m = {0};
    struct sides s = {0};
    if (common_manifests(r, &m, &err) != 0 || rctl_connect(r, &err) != 0) {
        return trouble(r, &err);
    }
    if (m.count == 0) {
        return DIFF_SAME;
    }
    if (make_sides(r, &s, &err) != 0) {
        return MAX(rctl_fail_here(r, &err), DIFF_TROUBLE);
    }
    int rc = compare_all(r, &m, &s, &err);
    remove_side(r, &m, s.live, file_name);
    remove_side(r, &m, s.merged, file_name);
    rmdir(s.dir);
    return rc >= 0 ? rc : rc == ERR_SYSTEM ? MAX(rctl_fail_here(r, &err), DIFF_TROUBLE) : trouble(r, &err);
}

const struct command command_diff = {
    .name = "diff",
    .usage = "-f FILE... | -k DIR",
    .summary = "Show what apply would change; exit 0: nothing, 1: something",
    .examples = "  rctl diff -f deployment.yaml\n"
                "  rctl diff -k overlays/test\n"
                "  # with another program\n"
                "  REEVE_EXTERNAL_DIFF='diff -y --suppress-common-lines' rctl diff -f deployment.yaml\n",
    .options = diff_options,
    .options_count = ARRAY_SIZE(diff_options),
    .run = run_diff,
};
