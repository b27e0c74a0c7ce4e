#include "client/manifest/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "proto/schema/object.h"
#include "proto/text/text.h"

int manifest_slurp(const char *path, size_t limit, char **text, size_t *size, struct error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    CLEANUP_CLOSE int fd = is_stdin ? dup(0) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "the path \"%s\" cannot be read", path);
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (;;) {
        ssize_t n = read(fd, buf_reserve(&b, 65536), 65536);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_set_errno(err, errno, "read %s", path);
        }
        if (n == 0) {
            break;
        }
        b.size += (size_t)n;
        if (b.size > limit) {
            return error_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes%s", path, limit,
                             limit == TEXT_SIZE_MAX ? "; split it and give its parts one after the other"
                             : limit == OBJECT_SIZE_MAX
                                 ? "; no object may hold more: keep it in an image or on a volume"
                                 : "");
        }
    }
    buf_putc(&b, '\0');
    *text = (char *)buf_take(&b, size);
    (*size)--;
    return 0;
}

static int where(struct error *err, const char *file, const struct value *v, const char *fmt, const char *arg)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_printf(&b, "%s:", file);
    if (v != NULL && v->line > 0) {
        buf_printf(&b, "%u:%u:", v->line, v->column);
    }
    buf_printf(&b, " %s%s", fmt, arg);
    return error_set(err, ERR_INVALID, "%s", buf_cstr(&b));
}

static int fill_namespace(struct arena *a, struct manifest_item *item, const struct manifest_options *o,
                          struct error *err)
{
    struct value *meta = value_get(item->doc, "metadata");
    const struct value *given = value_get(meta, "namespace");
    struct str ns = value_to_str(given);
    if (!item->kind->namespaced) {
        item->ns = "";
        return ns.n == 0
                   ? 0
                   : where(err, item->file, given, "metadata.namespace: must not be set for kind ", item->kind->name);
    }
    if (ns.n == 0) {
        item->ns_filled = true;
        value_set(a, meta, "namespace", value_cstr(a, o->ns));
        item->ns = arena_strdup(a, o->ns);
        return 0;
    }
    item->ns = arena_strndup(a, ns.p, ns.n);
    if (o->ns_given && strcmp(item->ns, o->ns) != 0) {
        return error_set(err, ERR_INVALID,
                         "%s:%u:%u: the namespace of the manifest (\"%s\") is not the one asked for (\"%s\"); leave "
                         "out -n, or change the manifest",
                         item->file, given->line, given->column, item->ns, o->ns);
    }
    return 0;
}

/* FILE:LINE:COLUMN in front, taken from the place that the message names ("line L, column C: "), otherwise the
 * document's beginning. */
static void locate(struct error *err, const char *file, const struct value *doc)
{
    unsigned line = doc->line, column = doc->column;
    char *at = strstr(err->message, "line ");
    int end = 0;
    if (strncmp(err->message, file, strlen(file)) == 0) {
        return;
    }
    if (at != NULL && sscanf(at, "line %u, column %u: %n", &line, &column, &end) == 2 && end > 0) {
        memmove(at, at + end, strlen(at + end) + 1);
    }
    error_wrap(err, "%s:%u:%u", file, line, column);
}

static void add_unknown(struct arena *a, struct manifest *out, const struct error *err)
{
    const char **more = arena_alloc(a, (out->unknown_count + 1) * sizeof(*more));
    if (out->unknown_count > 0) {
        memcpy(more, out->unknown, out->unknown_count * sizeof(*more));
    }
    more[out->unknown_count++] = arena_strdup(a, err->message);
    out->unknown = more;
}

/* Unknown fields are told. They stay: a master that is newer may know them; one that does not drops them. */
static void warn_of_fields(struct arena *a, const struct manifest_item *item, const struct manifest_options *o)
{
    struct errlist l = {.arena = a};
    struct error err = {0};
    kind_find_field_errors(item->kind, a, value_copy(a, item->doc), 0, &l);
    if (errlist_to_error(&l, kind_document_name(item->kind, a, item->doc), item->file, &err) != 0) {
        o->warn(err.message, o->data);
    }
}

static int add_document(struct arena *a, struct value *doc, const char *file, const struct manifest_options *o,
                        struct manifest *out, struct error *err);

/* "List", or the list of one kind: ConfigMapList, whose items need not say what they are. */
static bool is_list(const struct value *doc, const struct kind **listed)
{
    struct str name = value_to_str(value_get(doc, "kind"));
    const struct str suffix = STR("List");
    *listed = NULL;
    if (!str_ends(name, suffix)) {
        return false;
    }
    *listed = kind_by_name((struct str){name.p, name.n - suffix.n});
    return *listed != NULL || name.n == suffix.n;
}

static int add_list(struct arena *a, struct value *doc, const struct kind *listed, const char *file,
                    const struct manifest_options *o, struct manifest *out, struct error *err)
{
    const struct value *items = value_get(doc, "items");
    if (!value_is_null(items) && !value_is_list(items)) {
        return where(err, file, items, "items must be a list, not a ", value_type_name(items->type));
    }
    struct str api = value_to_str(value_get(doc, "apiVersion"));
    if (listed != NULL && !str_is(api, listed->api_version)) {
        return where(err, file, doc, "apiVersion of this list must be ", listed->api_version);
    }
    VALUE_FOR(i, items)
    {
        struct value *item = value_item(items, i);
        if (listed != NULL && value_is_map(item) && value_get(item, "kind") == NULL) {
            value_set(a, item, "kind", value_cstr(a, listed->name));
        }
        if (listed != NULL && value_is_map(item) && value_get(item, "apiVersion") == NULL) {
            value_set(a, item, "apiVersion", value_cstr(a, listed->api_version));
        }
        int rc = add_document(a, item, file, o, out, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int add_document(struct arena *a, struct value *doc, const char *file, const struct manifest_options *o,
                        struct manifest *out, struct error *err)
{
    if (!value_is_map(doc)) {
        return where(err, file, doc, "a manifest is a map with apiVersion, kind and metadata, not a ",
                     value_type_name(doc->type));
    }
    const struct kind *listed;
    if (is_list(doc, &listed)) {
        return add_list(a, doc, listed, file, o, out, err);
    }
    struct manifest_item item = {.doc = doc, .file = file};
    struct error why = {0};
    item.kind = kind_of_document(a, doc, &why);
    if (item.kind == NULL) {
        locate(&why, file, doc);
        if (o->skip_unknown && !value_is_null(value_get(doc, "kind"))) {
            add_unknown(a, out, &why);
            return 0;
        }
        if (err != NULL) {
            *err = why;
        }
        return why.code;
    }
    if (o->warn != NULL && o->lenient) {
        warn_of_fields(a, &item, o);
    }
    int rc = kind_check_fields(item.kind, a, doc, o->lenient ? KIND_CHECK_KEEP : 0, err);
    if (rc != 0) {
        locate(err, file, doc);
        return rc;
    }
    struct value *meta = value_ensure_map(a, doc, "metadata");
    struct str name = value_to_str(value_get(meta, "name"));
    if (name.n == 0 && value_get(meta, "generateName") == NULL) {
        return where(err, file, meta->line > 0 ? meta : doc, "metadata.name: Required value: a name", "");
    }
    item.name = arena_strndup(a, name.n > 0 ? name.p : "", name.n);
    rc = fill_namespace(a, &item, o, err);
    if (rc != 0) {
        return rc;
    }
    if (out->count == MANIFEST_OBJECTS_MAX) {
        return error_set(err, ERR_TOO_LARGE, "%s: more than %u objects at once", file, MANIFEST_OBJECTS_MAX);
    }
    out->items = arena_grow(a, out->items, out->count, &out->cap, sizeof *out->items, 16);
    out->items[out->count++] = item;
    return 0;
}

int manifest_add(struct arena *a, struct value *doc, const char *file, const struct manifest_options *o,
                 struct manifest *out, struct error *err)
{
    return add_document(a, doc, file, o, out, err);
}

int manifest_read_text(struct arena *a, struct str text, const char *file, const struct manifest_options *o,
                       struct manifest *out, struct error *err)
{
    struct value **docs, *twice = value_list(a);
    unsigned count = 0;
    int rc = o->lenient ? yaml_read_twice(a, text, file, TEXT_NODES_MAX, &docs, &count, twice, err)
                        : yaml_read(a, text, file, &docs, &count, err);
    for (unsigned i = 0; rc == 0 && o->warn != NULL && i < value_count(twice); i++) {
        struct str where_twice = value_to_str(value_item(twice, i));
        o->warn(arena_printf(a, "%s: duplicate field \"%.*s\"", file, STR_ARG(where_twice)), o->data);
    }
    for (unsigned i = 0; i < count && rc == 0; i++) {
        rc = add_document(a, docs[i], file, o, out, err);
    }
    return rc;
}

static int read_file(struct arena *a, const char *path, const struct manifest_options *o, struct manifest *out,
                     struct error *err)
{
    char *text;
    size_t size;
    int rc = manifest_slurp(path, TEXT_SIZE_MAX, &text, &size, err);
    if (rc != 0) {
        return rc;
    }
    const char *file = strcmp(path, "-") == 0 ? "standard input" : arena_strdup(a, path);
    unsigned before = out->count + out->unknown_count;
    rc = manifest_read_text(a, (struct str){text, size}, file, o, out, err);
    free(text);
    if (rc == 0 && out->count + out->unknown_count == before) {
        return error_set(err, ERR_INVALID, "%s: no objects in it", file);
    }
    return rc;
}

static int is_manifest_name(const struct dirent *e)
{
    struct str s = str_of(e->d_name);
    bool hidden = s.n > 0 && s.p[0] == '.';
    return !hidden;
}

static int read_dir(struct arena *a, const char *path, const struct manifest_options *o, struct manifest *out,
                    struct error *err)
{
    struct dirent **names;
    int n = scandir(path, &names, is_manifest_name, alphasort);
    if (n < 0) {
        return error_set_errno(err, errno, "read directory %s", path);
    }
    int rc = 0;
    for (int i = 0; i < n; i++) {
        const char *child = arena_printf(a, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", names[i]->d_name);
        struct str s = str_of(child);
        struct stat st;
        free(names[i]);
        if (rc != 0 || stat(child, &st) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode) && o->recursive) {
            rc = read_dir(a, child, o, out, err);
        } else if (S_ISREG(st.st_mode) &&
                   (str_ends(s, STR(".yaml")) || str_ends(s, STR(".yml")) || str_ends(s, STR(".json")))) {
            rc = read_file(a, child, o, out, err);
        }
    }
    free(names);
    return rc;
}

int manifest_read(struct arena *a, const char *path, const struct manifest_options *o, struct manifest *out,
                  struct error *err)
{
    struct stat st;
    if (strcmp(path, "-") == 0) {
        return read_file(a, path, o, out, err);
    }
    if (stat(path, &st) != 0) {
        return error_set_errno(err, errno, "the path \"%s\" cannot be read", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return read_file(a, path, o, out, err);
    }
    unsigned before = out->count + out->unknown_count;
    int rc = read_dir(a, path, o, out, err);
    if (rc == 0 && out->count + out->unknown_count == before) {
        return error_set(err, ERR_INVALID, "%s: no .yaml, .yml or .json file with objects in it%s", path,
                         o->recursive ? "" : " (-R looks below)");
    }
    return rc;
}
