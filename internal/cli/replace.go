package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// replace writes a file as a whole: until write has succeeded, and where it does not, path is as it was. What is there and
// is no plain file (a pipe, a terminal, /dev/null) is written to as it is.
func replace(path string, write func(io.Writer) error) (err error) {
	path, mode, plain, err := target(path)
	if err != nil {
		return err
	}
	if !plain {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".sandpiper-*")
	if err != nil {
		return fmt.Errorf("write beside %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what is left of it is nobody's answer
		}
	}()
	if err = errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// target is the file that a name leads to, the mode that it has or shall have, and whether it is a plain one.
func target(path string) (real string, mode fs.FileMode, plain bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, 0o600, true, nil // answers are for who asked; a mode that is there is kept
	}
	if err != nil {
		return "", 0, false, err
	}
	if info.IsDir() {
		return "", 0, false, fmt.Errorf("%s is a directory", path)
	}
	real, err = filepath.EvalSymlinks(path)
	return real, info.Mode().Perm(), info.Mode().IsRegular(), err
}

// writable says before a long wait whether replace will be able to write.
func writable(path string) error {
	if path == "" || path == "-" {
		return nil
	}
	path, _, plain, err := target(path)
	if err != nil || !plain {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".sandpiper-*")
	if err != nil {
		return fmt.Errorf("write beside %s: %w", path, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
