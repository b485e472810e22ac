/* A library for LD_PRELOAD: one call on one file fails, as with a failing disk or too many open
 * files.
 *
 * FAULT_FILE  part of the file's path
 * FAULT_END   end of the file's path
 * FAULT_CALL  open, read or write
 * FAULT_AFTER number of calls that succeed before
 * FAULT       the errno, or 0 for a read of half of the bytes
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int fault(void) { return atoi(getenv("FAULT")); }

static int is_due(const char *path, const char *call)
{
    static int calls;
    const char *file = getenv("FAULT_FILE"), *end = getenv("FAULT_END");
    size_t length = strlen(path);
    if (!file || strcmp(getenv("FAULT_CALL"), call) || !strstr(path, file)
        || length < strlen(end) || strcmp(path + length - strlen(end), end))
        return 0;
    return calls++ >= atoi(getenv("FAULT_AFTER"));
}

static int is_due_at(int descriptor, const char *call)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_due(path, call);
}

static ssize_t failed(void)
{
    errno = fault();
    return -1;
}

#define OPEN(name)                                  \
    int name(const char *path, int flags, ...)      \
    {                                               \
        va_list more;                               \
        va_start(more, flags);                      \
        mode_t mode = va_arg(more, mode_t);         \
        va_end(more);                               \
        if (is_due(path, "open"))                   \
            return (int)failed();                   \
        return NEXT(name)(path, flags, mode);       \
    }
OPEN(open)
OPEN(open64)

ssize_t read(int descriptor, void *buffer, size_t size)
{
    if (!is_due_at(descriptor, "read"))
        return NEXT(read)(descriptor, buffer, size);
    return fault() ? failed() : NEXT(read)(descriptor, buffer, size > 1 ? size / 2 : size);
}

ssize_t write(int descriptor, const void *buffer, size_t size)
{
    return is_due_at(descriptor, "write") ? failed() : NEXT(write)(descriptor, buffer, size);
}

#define PWRITE(name, type)                                                                   \
    ssize_t name(int descriptor, const void *buffer, size_t size, type offset)               \
    {                                                                                        \
        return is_due_at(descriptor, "write") ? failed()                                     \
                                              : NEXT(name)(descriptor, buffer, size, offset); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
