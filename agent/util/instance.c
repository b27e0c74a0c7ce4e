#include "agent/util/instance.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/util/fsutil.h"

int instance_begin(const char *dir, const struct env *env, char out[INSTANCE_SIZE], struct error *err)
{
    char path[FS_PATH_MAX], line[INSTANCE_SIZE], more;
    uint64_t id = 0, nonce = 0;
    unsigned start = 0;
    fs_path(path, sizeof path, "%s/instance", dir);
    bool known = fs_read_line(path, line, sizeof line) && sscanf(line, "%16" SCNx64 " %u%c", &id, &start, &more) == 2 &&
                 id != 0 && start < UINT32_MAX;
    if (!known) {
        start = 0;
        env_random(env, &id, sizeof id);
        id |= 1;
    }
    env_random(env, &nonce, sizeof nonce);
    snprintf(line, sizeof line, "%016" PRIx64 " %u\n", id, ++start);
    int rv = fs_write_file(path, str_of(line), 0600, true, err);
    snprintf(out, INSTANCE_SIZE, "%016" PRIx64 "-%u-%016" PRIx64, id, start, nonce);
    return rv;
}
