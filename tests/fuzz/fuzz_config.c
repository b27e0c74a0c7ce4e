/* Configurations of clients, as others hand them on. Input: a file. What is read resolves to a place to connect to, or
 * is refused with a text; what is shown of it has no private key. Paths in it are read, so corpora name none that
 * matter. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/api/config.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

static void check_target(const struct config_target *t)
{
    CHECK(t->servers_count > 0 && t->servers_count <= CONFIG_SERVERS_MAX);
    for (unsigned i = 0; i < t->servers_count; i++) {
        CHECK(t->servers[i] != NULL && t->servers[i][0] != '\0');
    }
    CHECK(t->context != NULL && t->cluster != NULL && t->user != NULL && t->ns != NULL && t->refused != NULL);
}

/* Nothing of a key is shown, wherever it stands in its list. */
static void check_shown(struct arena *a, const struct config *c)
{
    const struct value *shown = config_redacted(a, c), *users = value_get(shown, "users");
    VALUE_FOR(i, users)
    {
        const struct value *key = value_path(value_item(users, i), "user.client-key-data");
        CHECK(key == NULL || key->type != VALUE_STR || str_is(value_to_str(key), "REDACTED"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_CLOSE int fd = memfd_create("config", MFD_CLOEXEC);
    struct config c;
    struct config_target target;
    struct error err = {0};
    arena_init(&a);
    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    const char *path = arena_printf(&a, "/proc/self/fd/%d", fd);
    int rc = config_load(&a, path, &c, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return 0;
    }
    CHECK(config_current(&a, &c) != NULL);
    check_shown(&a, &c);
    rc = config_resolve(&a, &c, NULL, &target, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
    } else {
        check_target(&target);
    }
    return 0;
}
