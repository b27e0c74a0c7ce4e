/* rctl patch, label, annotate, edit: change parts of objects. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/common.h"
#include "proto/patch.h"
#include "proto/text.h"

/* Strings of documents that came from the wire have no NUL behind them. */
static const char *cstr(struct rctl *r, struct str s)
{
    return arena_strndup(&r->arena, s.n == 0 ? "" : s.p, s.n);
}

/* ---- patch ---- */

static const struct option_row patch_options[] = {
    {"patch", 'p', OPTION_VALUE, NULL, NULL, "PATCH", "the patch, JSON or YAML"},
    {"patch-file", 0, OPTION_VALUE, NULL, NULL, "FILE", "the same from a file (- for standard input)"},
    {"type", 0, OPTION_VALUE, "strategic", NULL, "TYPE", "strategic, merge or json"},
    {"subresource", 0, OPTION_VALUE, "", NULL, "PART", "status or scale"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
    OPTION_ROW_FILENAME,
    OPTION_ROW_RECURSIVE,
};

static int read_patch(struct rctl *r, struct value **patch, struct error *err)
{
    const char *text = opt(r, "patch"), *file = opt(r, "patch-file");
    char *owned = NULL;
    size_t size = 0;
    if ((text == NULL) == (file == NULL)) {
        return error_set(err, ERR_USAGE, "give the patch with -p PATCH or --patch-file FILE");
    }
    if (file != NULL) {
        int rc = manifest_slurp(file, OBJECT_SIZE_MAX, &owned, &size, err);
        if (rc != 0) {
            return rc;
        }
    } else {
        owned = xstrdup(text);
        size = strlen(text);
    }
    struct value **docs;
    unsigned count = 0;
    int rc = yaml_read(&r->arena, (struct str){owned, size}, file == NULL ? "patch" : file, &docs, &count, err);
    free(owned);
    if (rc == 0 && count != 1) {
        rc = error_set(err, ERR_INVALID, "the patch must be one document, not %u", count);
    }
    *patch = rc == 0 ? docs[0] : NULL;
    return rc;
}

static int run_patch(struct rctl *r)
{
    struct error err = {0};
    struct value *patch = NULL;
    enum dry_run dry;
    CLEANUP_LIST struct api_list list = {0};
    const char *type = opt(r, "type");
    int t = patch_type_parse(str_of(type));
    if (t < 0) {
        return rctl_usage(r, "--type is strategic, merge or json, not \"%s\"", type);
    }
    if (common_dry_run(r, &dry, &err) != 0 || read_patch(r, &patch, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    if ((t == PATCH_JSON) != value_is_list(patch)) {
        return rctl_usage(r, "a patch of type %s is %s", type, t == PATCH_JSON ? "a list of operations" : "a map");
    }
    if (rctl_connect(r, &err) != 0 || common_select(r, &list, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < list.count; i++) {
        const struct object *o = list.items[i];
        CLEANUP_OBJECT struct object *after = NULL;
        bool unchanged = false;
        int one;
        if (common_patch(r, o->kind, cstr(r, o->ns), cstr(r, o->name), type, patch, opt(r, "subresource"),
                         dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, &after, &unchanged, &err) != 0) {
            one = rctl_fail(r, &err);
        } else {
            one = common_print_object(r, after, unchanged ? "patched (no change)" : "patched", dry);
        }
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

const struct command command_patch = {
    .name = "patch",
    .usage = "TYPE NAME -p PATCH [--type strategic|merge|json]",
    .summary = "Change fields of an object",
    .examples = "  rctl patch deploy/hello -p '{\"spec\":{\"replicas\":5}}'\n"
                "  # a list element is found by its name\n"
                "  rctl patch pod hello -p 'spec: {containers: [{name: nginx, image: nginx:1.23}]}'\n"
                "  rctl patch cm web --type merge -p '{\"data\":{\"old\":null,\"color\":\"red\"}}'\n"
                "  rctl patch node n1 --type json -p '[{\"op\":\"remove\",\"path\":\"/spec/taints/0\"}]'\n",
    .options = patch_options,
    .options_count = ARRAY_SIZE(patch_options),
    .run = run_patch,
};

/* ---- label, annotate ---- */

static const struct option_row label_options[] = {
    OPTION_ROW_SELECTOR,
    OPTION_ROW_ALL,
    {"overwrite", 0, OPTION_FLAG, NULL, NULL, NULL, "change values that are there already"},
    {"list", 0, OPTION_FLAG, NULL, NULL, NULL, "show them instead of changing"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
    OPTION_ROW_FILENAME,
    OPTION_ROW_RECURSIVE,
};

/* Words that are KEY=VALUE or KEY- are taken out of the command's words and put into changes (null = remove). */
static int take_changes(struct rctl *r, struct value *changes, struct error *err)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < r->args.words_count; i++) {
        const char *w = r->args.words[i];
        const char *eq = strchr(w, '=');
        size_t n = strlen(w);
        bool removal = eq == NULL && n > 1 && w[n - 1] == '-' && i > 0;
        if (eq == NULL && !removal) {
            if (changes->map.count > 0) {
                return error_set(err, ERR_USAGE, "\"%s\" is neither KEY=VALUE nor KEY-", w);
            }
            r->args.words[kept++] = w;
            continue;
        }
        struct str key = {w, removal ? n - 1 : (size_t)(eq - w)};
        if (!name_is_label_key(key)) {
            return error_set(err, ERR_USAGE, "\"%.*s\" is not a valid key", STR_ARG(key));
        }
        value_set_str_key(&r->arena, changes, key, removal ? value_null(&r->arena) : value_cstr(&r->arena, eq + 1));
    }
    r->args.words_count = kept;
    return 0;
}

static int check_overwrite(const struct object *o, const char *member, const struct value *changes, struct error *err)
{
    for (unsigned i = 0; i < changes->map.count; i++) {
        struct str key = changes->map.members[i].key, new = value_to_str(changes->map.members[i].value);
        struct str old = mp_str(mp_get_str_key(mp_get(mp_get(object_mp(o), "metadata"), member), key));
        if (old.p != NULL && changes->map.members[i].value->type == VALUE_STR && !str_eq(old, new)) {
            return error_set(err, ERR_INVALID, "'%.*s' already has a value (%.*s) on %.*s, and --overwrite is false",
                             STR_ARG(key), STR_ARG(old), STR_ARG(o->name));
        }
    }
    return 0;
}

static void print_pairs(struct rctl *r, const struct object *o, const char *member)
{
    for (struct mp_iter it = mp_iter(mp_get(mp_get(object_mp(o), "metadata"), member)); mp_next(&it);) {
        struct str v = mp_str(it.value);
        fprintf(r->out, "%.*s=%.*s\n", STR_ARG(it.key), STR_ARG(v));
    }
}

static int run_metadata(struct rctl *r, const char *member, const char *done)
{
    struct error err = {0};
    enum dry_run dry;
    struct value *changes = value_map(&r->arena);
    CLEANUP_LIST struct api_list list = {0};
    if (take_changes(r, changes, &err) != 0 || common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (changes->map.count == 0 && !opt_flag(r, "list")) {
        return rctl_usage(r, "at least one KEY=VALUE or KEY- is needed");
    }
    if (rctl_connect(r, &err) != 0 || common_select(r, &list, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    struct value *patch = value_map(&r->arena);
    value_set(&r->arena, value_ensure_map(&r->arena, patch, "metadata"), member, changes);
    int code = EXIT_DONE;
    for (unsigned i = 0; i < list.count; i++) {
        const struct object *o = list.items[i];
        CLEANUP_OBJECT struct object *after = NULL;
        bool unchanged = false;
        int one = EXIT_DONE;
        if (opt_flag(r, "list")) {
            print_pairs(r, o, member);
        } else if ((!opt_flag(r, "overwrite") && check_overwrite(o, member, changes, &err) != 0) ||
                   common_patch(r, o->kind, cstr(r, o->ns), cstr(r, o->name), "merge", patch, "",
                                dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, &after, &unchanged, &err) != 0) {
            one = rctl_fail(r, &err);
        } else {
            one = common_print_object(r, after, unchanged ? arena_printf(&r->arena, "not %s", done) : done, dry);
        }
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

static int run_label(struct rctl *r)
{
    return run_metadata(r, "labels", "labeled");
}

static int run_annotate(struct rctl *r)
{
    return run_metadata(r, "annotations", "annotated");
}

const struct command command_label = {
    .name = "label",
    .usage = "TYPE NAME... KEY=VALUE... KEY-...",
    .summary = "Set or remove labels",
    .examples = "  rctl label pod hello tier=front\n"
                "  # change what is there; remove\n"
                "  rctl label pod hello tier=back --overwrite\n"
                "  rctl label pod hello tier-\n"
                "  # every node\n"
                "  rctl label nodes --all disk=ssd\n",
    .options = label_options,
    .options_count = ARRAY_SIZE(label_options),
    .run = run_label,
};
const struct command command_annotate = {
    .name = "annotate",
    .usage = "TYPE NAME... KEY=VALUE... KEY-...",
    .summary = "Set or remove annotations",
    .examples = "  rctl annotate deploy/hello kubernetes.io/change-cause='new greeting'\n"
                "  rctl annotate pods -l app=hello team=web --overwrite\n"
                "  rctl annotate deploy/hello team-\n",
    .options = label_options,
    .options_count = ARRAY_SIZE(label_options),
    .run = run_annotate,
};

/* ---- edit ---- */

static const struct option_row edit_options[] = {OPTION_ROW_SELECTOR, OPTION_ROW_ALL, OPTION_ROW_FILENAME,
                                                 OPTION_ROW_RECURSIVE, OPTION_ROW_OUTPUT};

#define EDIT_TRIES 10

static int run_editor(struct rctl *r, const char *path, struct error *err)
{
    const char *editor = getenv("REEVE_EDITOR");
    editor = editor != NULL && *editor != '\0' ? editor : getenv("VISUAL");
    editor = editor != NULL && *editor != '\0' ? editor : getenv("EDITOR");
    editor = editor != NULL && *editor != '\0' ? editor : "vi";
    fflush(r->out);
    const char *command = arena_printf(&r->arena, "%s '%s'", editor, path);
    int status = system(command);
    if (status != 0) {
        return error_set(err, ERR_SYSTEM, "the editor failed: %s; set EDITOR to another one", command);
    }
    return 0;
}

static int write_text(const char *path, const struct buf *b, struct error *err)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    for (size_t at = 0; fd >= 0 && at < b->size;) {
        ssize_t n = write(fd, b->data + at, b->size - at);
        if (n < 0 && errno != EINTR) {
            return error_set_errno(err, errno, "write %s", path);
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return fd < 0 ? error_set_errno(err, errno, "open %s", path) : 0;
}

/* The text to edit: what went wrong last time as comments, then the object. */
static void edit_text(const struct value *doc, const char *body, const char *problem, struct buf *out)
{
    buf_puts(out, "# Edit the object below. Lines that begin with '#' are left out; an empty file cancels the edit.\n");
    if (problem != NULL) {
        buf_printf(out, "# It was refused:\n# %s\n#\n", problem);
    }
    if (body != NULL) {
        buf_puts(out, body);
    } else {
        yaml_write(out, doc);
    }
}

/* Comment lines of our head are dropped, so that they do not pile up. */
static const char *without_head(struct rctl *r, const char *text)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    bool head = true;
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        n += text[n] == '\n';
        head = head && text[0] == '#';
        if (!head) {
            buf_append(&b, text, n);
        }
        text += n;
    }
    return arena_strdup(&r->arena, buf_cstr(&b));
}

static int send_edited(struct rctl *r, const struct object *o, const char *text, const char *revision,
                       struct object **after, struct error *err)
{
    struct manifest m = {0};
    struct manifest_options mo = {.ns = cstr(r, o->ns), .lenient = common_lenient(r)};
    int rc = manifest_read_text(&r->arena, str_of(text), "edited", &mo, &m, err);
    if (rc != 0) {
        return rc;
    }
    if (m.count != 1 || m.items[0].kind != o->kind || !str_eq(str_of(m.items[0].name), o->name)) {
        return error_set(err, ERR_INVALID, "kind and name cannot be changed by an edit");
    }
    if (revision != NULL) {
        value_set(&r->arena, value_ensure_map(&r->arena, m.items[0].doc, "metadata"), "resourceVersion",
                  value_cstr(&r->arena, revision));
    }
    struct value *p = value_map(&r->arena);
    value_set(&r->arena, p, "object", m.items[0].doc);
    common_write_params(r, p, DRY_RUN_NONE);
    return common_send(r, "update", p, after, NULL, NULL, err);
}

/* What users say in an object: without status and without the versions, which every report of a node changes. */
static struct value *said_by_users(struct rctl *r, const struct object *o)
{
    struct value *doc = value_copy(&r->arena, print_document(&r->arena, o));
    struct value *metadata = value_ensure_map(&r->arena, doc, "metadata");
    value_remove(doc, "status");
    value_remove(metadata, "resourceVersion");
    value_remove(metadata, "generation");
    return doc;
}

/* The object's version now, if nothing but its status has changed since it was shown; NULL otherwise. */
static const char *revision_now(struct rctl *r, const struct object *o)
{
    struct error err = {0};
    CLEANUP_OBJECT struct object *now = NULL;
    if (api_get(r->api, o->kind, cstr(r, o->ns), cstr(r, o->name), false, &now, &err) != 0 ||
        !str_eq(now->uid, o->uid) || !value_equal(said_by_users(r, o), said_by_users(r, now))) {
        return NULL;
    }
    return arena_printf(&r->arena, "%llu", (unsigned long long)now->revision);
}

/* An editor is open for minutes, and status changes by the second: an edit must not fail for that. */
static int save_edited(struct rctl *r, const struct object *o, const char *text, struct object **after,
                       struct error *err)
{
    const char *revision = NULL;
    int rc = send_edited(r, o, text, NULL, after, err);
    for (unsigned tries = 0; rc == ERR_CONFLICT && tries < EDIT_TRIES; tries++) {
        revision = revision_now(r, o);
        if (revision == NULL) {
            break;
        }
        rc = send_edited(r, o, text, revision, after, err);
    }
    return rc;
}

static int edit_rounds(struct rctl *r, const struct object *o, const char *path)
{
    CLEANUP_BUF struct buf before = BUF_INIT;
    const char *body = NULL, *problem = NULL;
    struct value *doc = print_document(&r->arena, o);
    CLEANUP_BUF struct buf original = BUF_INIT;
    yaml_write(&original, doc);
    for (;;) {
        struct error err = {0};
        char *text;
        size_t size;
        buf_reset(&before);
        edit_text(doc, body, problem, &before);
        if (write_text(path, &before, &err) != 0 || run_editor(r, path, &err) != 0 ||
            manifest_slurp(path, 16u << 20, &text, &size, &err) != 0) {
            return rctl_fail(r, &err);
        }
        const char *edited = without_head(r, text);
        bool same = size == before.size && memcmp(text, before.data, size) == 0;
        free(text);
        if (edited[strspn(edited, " \t\n")] == '\0' || strcmp(edited, buf_cstr(&original)) == 0) {
            rctl_note(r, "Edit cancelled, no changes made.");
            return EXIT_DONE;
        }
        if (same && problem != NULL) {
            error_set(&err, ERR_INVALID, "%s\nnothing was changed; your text is kept in %s", problem, path);
            return rctl_fail(r, &err);
        }
        CLEANUP_OBJECT struct object *after = NULL;
        int rc = save_edited(r, o, edited, &after, &err);
        if (rc == 0) {
            return common_print_object(r, after, "edited", DRY_RUN_NONE);
        }
        if (rc == ERR_CONFLICT) {
            rctl_fail(r, &err);
            rctl_note(r, "somebody changed the object meanwhile; your text is kept in %s: edit again and merge", path);
            return EXIT_CONFLICT;
        }
        if (rc != ERR_INVALID && rc != ERR_FORBIDDEN) {
            int code = rctl_fail(r, &err);
            rctl_note(r, "your text is kept in %s", path);
            return code;
        }
        body = edited;
        problem = arena_strdup(&r->arena, err.message);
    }
}

static int edit_one(struct rctl *r, const struct object *o)
{
    struct error err = {0};
    const char *tmp = getenv("TMPDIR");
    char *path = arena_printf(&r->arena, "%s/rctl-edit-XXXXXX.yaml", tmp == NULL ? "/tmp" : tmp);
    int fd = mkstemps(path, 5);
    if (fd < 0) {
        error_set_errno(&err, errno, "make a file to edit, %s", path);
        return rctl_fail(r, &err);
    }
    close(fd);
    int code = edit_rounds(r, o, path);
    if (code == EXIT_DONE) {
        unlink(path);
    }
    return code;
}

static int run_edit(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_LIST struct api_list list = {0};
    if (rctl_connect(r, &err) != 0 || common_select(r, &list, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < list.count; i++) {
        int one = edit_one(r, list.items[i]);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

const struct command command_edit = {
    .name = "edit",
    .usage = "TYPE NAME | TYPE/NAME",
    .summary = "Change an object in your editor",
    .examples = "  rctl edit deploy/hello\n"
                "  EDITOR=nano rctl edit configmap nginx-conf\n"
                "  # by a program\n"
                "  EDITOR='sed -i s/1.0/2.0/' rctl edit deploy/hello\n",
    .options = edit_options,
    .options_count = ARRAY_SIZE(edit_options),
    .run = run_edit,
};
