#include "agent/image/image_int.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/util/fsutil.h"

/* Work on the disk, one job after another on a worker thread: loading archives, and collecting what nobody stands
 * on. */

/* ---- Jobs ---- */

static void job_free(struct image_job *j)
{
    for (unsigned i = 0; i < j->keep_count; i++) {
        free(j->keep[i]);
    }
    free(j->keep);
    image_found_free(&j->found);
    free(j->path);
    free(j->name);
    free(j);
}

static bool is_archive_name(const char *name)
{
    static const char *const endings[] = {".tar", ".tar.gz", ".tgz", ".oci", ".tar.zst", ".tar.xz"};
    for (unsigned i = 0; i < ARRAY_SIZE(endings); i++) {
        if (str_ends(str_of(name), str_of(endings[i]))) {
            return true;
        }
    }
    return false;
}

static int name_filter(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void import_all_in(struct image_job *j)
{
    struct dirent **list = NULL;
    int n = scandir(j->path, &list, name_filter, alphasort);
    if (n < 0) {
        j->rc = error_set_errno(&j->error, errno, "cannot read the directory %s", j->path);
        return;
    }
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *path = xasprintf("%s/%s", j->path, list[i]->d_name);
        CLEANUP_FREE char *layout = xasprintf("%s/oci-layout", path);
        struct error err = {0};
        if ((is_archive_name(list[i]->d_name) || fs_exists(layout)) && !atomic_load(&j->store->cancel)) {
            int rc = image_import(j->store->dir, path, NULL, false, &j->store->cancel, &j->found, &err);
            if (rc != 0) {
                log_warn(j->store->log, "image", "%s", err.message);
            }
            if (rc != 0 && j->rc == 0) {
                j->rc = rc;
                j->error = err;
            }
        }
        free(list[i]);
    }
    free(list);
}

/* Deletes what nobody stands on any more. */
static void collect_in(struct image_job *j, const char *part)
{
    CLEANUP_FREE char *dir = xasprintf("%s/%s", j->store->dir, part);
    DIR *d = opendir(dir);
    if (d == NULL) {
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        bool keep = e->d_name[0] == '.';
        for (unsigned i = 0; i < j->keep_count && !keep; i++) {
            keep = strcmp(j->keep[i], e->d_name) == 0;
        }
        if (keep) {
            continue;
        }
        /* first out of sight, then piece by piece: a crash leaves no half layer under its name */
        CLEANUP_FREE char *path = xasprintf("%s/%s", dir, e->d_name);
        CLEANUP_FREE char *tmp = xasprintf("%s/tmp/gone-%s", j->store->dir, e->d_name);
        struct error err = {0};
        pthread_mutex_lock(&j->store->lock);
        bool reserved = image_layer_reserved(j->store, e->d_name);
        int rc = reserved ? 0 : rename(path, tmp);
        pthread_mutex_unlock(&j->store->lock);
        if (rc != 0 || (!reserved && fs_remove_tree(tmp, &err) != 0)) {
            log_warn(j->store->log, "image", "cannot delete %s: %s", path, err.message);
        }
    }
    closedir(d);
}

static void job_work(uv_work_t *w)
{
    struct image_store *s = CONTAINER_OF(w, struct image_store, work);
    struct image_job *j = s->current;
    if (j->collect) {
        collect_in(j, "blobs/sha256");
        collect_in(j, "layers");
    } else if (j->is_dir_of_images) {
        import_all_in(j);
    } else {
        j->rc = image_import(s->dir, j->path, j->name, j->pulled, &s->cancel, &j->found, &j->error);
    }
    if (j->delete_path) {
        unlink(j->path);
    }
}

static void job_answer(struct image_job *j)
{
    const char **refs = NULL;
    unsigned n = 0, images = 0;
    LIST_FOR(it, &j->found)
    {
        struct image_found *f = LIST_ENTRY(it, struct image_found, link);
        images++;
        for (unsigned i = 0; i < f->refs_count; i++) {
            refs = xrealloc(refs, (n + 2) * sizeof *refs);
            refs[n++] = f->refs[i];
        }
    }
    const char *none[] = {NULL};
    if (refs != NULL) {
        refs[n] = NULL;
    }
    struct image_loaded r = {
        .error = j->rc == 0 ? NULL : &j->error, .refs = refs != NULL ? refs : none, .count = images};
    if (j->cb != NULL) {
        j->cb(&r, j->data);
    }
    free(refs);
}

static void job_done(uv_work_t *w, int status)
{
    struct image_store *s = CONTAINER_OF(w, struct image_store, work);
    struct image_job *j = s->current;
    s->current = NULL;
    s->running = false;
    list_remove(&j->link);
    if (status == UV_ECANCELED || s->closing) {
        j->rc = error_set(&j->error, ERR_CANCELED, "the image store is closing");
    }
    LIST_FOR(it, &j->found)
    {
        struct image_found *f = LIST_ENTRY(it, struct image_found, link);
        for (unsigned i = 0; i < f->refs_count; i++) {
            image_named_set(s, f->refs[i], f->manifest_hex);
        }
        image_present_add(s, f->manifest_hex);
    }
    if (!list_empty(&j->found)) {
        image_present_refresh(s);
    }
    job_answer(j);
    job_free(j);
    s->job_ended(s);
}

static void keep_hex(struct image_job *j, const char *hex)
{
    j->keep = xrealloc(j->keep, (j->keep_count + 1) * sizeof *j->keep);
    j->keep[j->keep_count++] = xstrdup(hex);
}

static void add_collection(struct image_store *s)
{
    struct image_job *j = xcalloc(1, sizeof *j);
    s->dirty = false;
    image_drop_nameless(s);
    j->store = s;
    j->collect = true;
    list_init(&j->found);
    LIST_FOR(it, &s->live)
    {
        struct image_live *l = LIST_ENTRY(it, struct image_live, link);
        keep_hex(j, l->manifest_hex);
        keep_hex(j, l->config_hex);
        for (unsigned i = 0; i < l->pub.layers_count; i++) {
            keep_hex(j, strrchr(l->pub.layers[i], '/') + 1);
        }
    }
    list_push_back(&s->jobs, &j->link);
}

void image_jobs_start(struct image_store *s)
{
    if (s->running || s->closing || s->hollow) {
        return;
    }
    if (list_empty(&s->jobs)) {
        if (!s->dirty) {
            return;
        }
        add_collection(s);
    }
    s->running = true;
    s->current = LIST_ENTRY(s->jobs.next, struct image_job, link);
    int rc = uv_queue_work(s->loop, &s->work, job_work, job_done);
    assert(rc == 0);
    (void)rc;
}

static struct image_job *add_job(struct image_store *s, const char *path, const char *name, image_loaded_cb *cb,
                                 void *data)
{
    assert(!s->closing && !s->hollow);
    struct image_job *j = xcalloc(1, sizeof *j);
    j->store = s;
    j->path = xstrdup(path);
    j->name = name == NULL ? NULL : xstrdup(name);
    j->cb = cb;
    j->data = data;
    list_init(&j->found);
    list_push_back(&s->jobs, &j->link);
    return j;
}

void image_load_path(struct image_store *s, const char *path, const char *name, image_loaded_cb *cb, void *data)
{
    add_job(s, path, name, cb, data);
    image_jobs_start(s);
}

void image_load_pulled(struct image_store *s, const char *path, const char *name, image_loaded_cb *cb, void *data)
{
    add_job(s, path, name, cb, data)->pulled = true;
    image_jobs_start(s);
}

void image_load_dir(struct image_store *s, const char *dir, image_loaded_cb *cb, void *data)
{
    add_job(s, dir, NULL, cb, data)->is_dir_of_images = true;
    image_jobs_start(s);
}

/* Answers what has not begun; what runs answers by itself. */
void image_jobs_cancel(struct image_store *s)
{
    LIST_FOR_SAFE(it, &s->jobs)
    {
        struct image_job *j = LIST_ENTRY(it, struct image_job, link);
        if (j == s->current) {
            continue; /* its own end comes */
        }
        list_remove(it);
        j->rc = error_set(&j->error, ERR_CANCELED, "the image store is closing");
        if (j->delete_path) {
            unlink(j->path);
        }
        job_answer(j);
        job_free(j);
    }
}

/* ---- Chunks ---- */

int image_load_begin(struct image_store *s, const char *name, struct image_load **out, struct error *err)
{
    char ref[IMAGE_REF_MAX];
    if (s->hollow || s->closing) {
        return error_set(err, ERR_UNSUPPORTED, "this node takes no images");
    }
    if (s->loads == IMAGE_LOADS_MAX) {
        return error_set(err, ERR_LIMIT, "%u images are being loaded already", s->loads);
    }
    if (name != NULL && name[0] != '\0' && image_name_normalise(str_of(name), ref, err) != 0) {
        return ERR_INVALID;
    }
    struct image_load *l = xcalloc(1, sizeof *l);
    l->path = xasprintf("%s/tmp/upload-%llu", s->dir, (unsigned long long)s->load_number++);
    l->fd = open(l->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (l->fd < 0) {
        int rc = error_set_errno(err, errno, "cannot create %s", l->path);
        free(l->path);
        free(l);
        return rc;
    }
    l->store = s;
    l->name = name == NULL ? NULL : xstrdup(name);
    s->loads++;
    *out = l;
    return 0;
}

int image_load_write(struct image_load *l, const void *p, size_t n, struct error *err)
{
    const char *at = p;
    if (l->size_bytes + n > IMAGE_ARCHIVE_MAX) {
        return error_set(err, ERR_TOO_LARGE, "the archive is larger than %llu bytes", IMAGE_ARCHIVE_MAX);
    }
    l->size_bytes += n;
    while (n > 0) {
        ssize_t put = write(l->fd, at, n);
        if (put < 0 && errno != EINTR) {
            return error_set_errno(err, errno, "cannot write %s", l->path);
        }
        if (put > 0) {
            at += put;
            n -= (size_t)put;
        }
    }
    return 0;
}

static void load_free(struct image_load *l)
{
    close(l->fd);
    l->store->loads--;
    free(l->path);
    free(l->name);
    free(l);
}

void image_load_finish(struct image_load *l, image_loaded_cb *cb, void *data)
{
    struct image_store *s = l->store;
    add_job(s, l->path, l->name, cb, data)->delete_path = true;
    load_free(l);
    image_jobs_start(s);
}

void image_load_abort(struct image_load *l)
{
    unlink(l->path);
    load_free(l);
}
