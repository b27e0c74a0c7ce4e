#include "client/cmd/editor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cmd/common.h"

#define EDITOR_TEXT_MAX (16u << 20)

static const char *editor_name(void)
{
    static const char *const variables[] = {"REEVE_EDITOR", "KUBE_EDITOR", "VISUAL", "EDITOR"};
    for (unsigned i = 0; i < ARRAY_SIZE(variables); i++) {
        const char *v = getenv(variables[i]);
        if (v != NULL && *v != '\0') {
            return v;
        }
    }
    return "vi";
}

static int run_editor(struct rctl *r, const char *path, struct error *err)
{
    fflush(r->out);
    fflush(r->err_out);
    const char *editor = editor_name();
    int status = system(arena_printf(&r->arena, "%s '%s'", editor, path));
    if (status == 0) {
        return 0;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        return error_set(err, ERR_SYSTEM, "there is no editor \"%s\"; set EDITOR to one that is there", editor);
    }
    return error_set(err, ERR_SYSTEM, "the editor \"%s\" failed (exit %d); EDITOR names another one", editor,
                     WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
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

/* Every line of it becomes a comment: a message with line breaks must not become a part of the text. */
static void put_comment(struct buf *out, const char *text)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "\r\n");
        buf_printf(out, "# %.*s\n", (int)n, text);
        text += n;
        text += strspn(text, "\r\n");
    }
}

static void put_head(struct buf *out, const char *title, const char *problem)
{
    put_comment(out, title);
    buf_puts(out, "# Lines that begin with '#' up here are left out; an empty file cancels the edit.\n");
    if (problem != NULL) {
        buf_puts(out, "#\n# It was refused:\n");
        put_comment(out, problem);
        buf_puts(out, "#\n");
    }
}

/* Comment lines in front are dropped, so that they do not pile up. */
static const char *without_head(struct arena *a, const char *text)
{
    while (text[0] == '#') {
        text += strcspn(text, "\n");
        text += text[0] == '\n';
    }
    return arena_strdup(a, text);
}

struct editing {
    struct rctl *r;
    const char *title, *path, *first; /* first: what was shown first */
    bool yaml, unchanged_too;
    bool keep; /* the file holds what the user typed, and it went nowhere */
    editor_save *save;
    void *data;
};

static int edit_fail(struct editing *e, const struct error *err)
{
    return e->r->api != NULL && err->code != ERR_SYSTEM ? rctl_fail(e->r, err) : rctl_fail_here(e->r, err);
}

static bool may_be_mended(int rc)
{
    return rc == ERR_INVALID || rc == ERR_FORBIDDEN || rc == ERR_USAGE || rc == ERR_TOO_LARGE;
}

static int rounds(struct editing *e)
{
    struct rctl *r = e->r;
    const char *body = e->first, *problem = NULL;
    for (;;) {
        struct error err = {0};
        CLEANUP_BUF struct buf shown = BUF_INIT;
        char *text;
        size_t size;
        if (e->yaml) {
            put_head(&shown, e->title, problem);
        } else if (problem != NULL) {
            rctl_note(r, "It was refused: %s", problem);
        }
        buf_puts(&shown, body);
        if (write_text(e->path, &shown, &err) != 0) {
            e->keep = false;
            return edit_fail(e, &err);
        }
        int failed = run_editor(r, e->path, &err);
        struct error why = {0};
        if (manifest_slurp(e->path, EDITOR_TEXT_MAX, &text, &size, &why) != 0) {
            return edit_fail(e, failed != 0 ? &err : &why);
        }
        const char *typed = e->yaml ? without_head(&r->arena, text) : arena_strdup(&r->arena, text);
        free(text);
        bool empty = typed[strspn(typed, " \t\r\n")] == '\0', first = strcmp(typed, e->first) == 0;
        e->keep = !empty && !first;
        if (failed != 0) {
            return edit_fail(e, &err);
        }
        if (empty || (first && problem == NULL && !e->unchanged_too)) {
            rctl_note(r, empty ? "Edit cancelled, the saved file is empty." : "Edit cancelled, no changes made.");
            return empty && e->unchanged_too ? EXIT_FAILED : EXIT_DONE;
        }
        if (problem != NULL && strcmp(typed, body) == 0) {
            error_set(&err, ERR_INVALID, "nothing was changed: it was saved again as it was refused: %s", problem);
            return rctl_fail_here(r, &err);
        }
        int code = EXIT_DONE;
        const char *again = NULL;
        int rc = e->save(r, typed, &again, &code, e->data, &err);
        if (rc == 0) {
            e->keep = false;
            return code;
        }
        if (!may_be_mended(rc)) {
            return rctl_fail(r, &err);
        }
        body = again == NULL ? typed : again;
        problem = arena_strdup(&r->arena, err.message);
    }
}

int editor_edit(struct rctl *r, const char *title, const char *suffix, const char *text, bool unchanged_too,
                editor_save *save, void *data)
{
    struct error err = {0};
    const char *tmp = getenv("TMPDIR");
    char *path = arena_printf(&r->arena, "%s/rctl-edit-XXXXXX.%s", tmp == NULL || *tmp == '\0' ? "/tmp" : tmp, suffix);
    int fd = mkostemps(path, (int)strlen(suffix) + 1, O_CLOEXEC);
    if (fd < 0) {
        error_set_errno(&err, errno, "make a file to edit, %s", path);
        return rctl_fail_here(r, &err);
    }
    close(fd);
    struct editing e = {.r = r,
                        .title = title,
                        .path = path,
                        .first = text,
                        .yaml = strcmp(suffix, "yaml") == 0,
                        .unchanged_too = unchanged_too,
                        .save = save,
                        .data = data};
    int code = rounds(&e);
    if (e.keep) {
        rctl_note(r, "What you typed is kept in %s", path);
    } else {
        unlink(path);
    }
    return code;
}
