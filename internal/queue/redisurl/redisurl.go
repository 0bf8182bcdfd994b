// Package redisurl reads REDIS_URL, once for everybody who speaks to Redis, and makes clients that never hold up
// their caller: package queue and package bus drop what Redis does not take at once, since the truth is in SQL.
//
// The forms are those of go-redis, the client that we use: one server, servers behind Sentinels (master_name says so),
// and a Cluster (more addresses without a master_name).
package redisurl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrURL is a fault of a REDIS_URL. It never holds the URL or a part of it, for there may be a password in it.
var ErrURL = errors.New("must be redis://[user:password@]host[:port][/db] or unix://[user:password@]/path[?db=n]; " +
	"behind Sentinels redis://host:port[/db]?master_name=NAME&addr=host2:port2[&username=…&password=…]; " +
	"for a Cluster redis://[user:password@]host:port?addr=host2:port2; " +
	"with TLS rediss:// in place of redis://, and ca_file=PATH or skip_verify=true")

// ErrCA is the fault of a ca_file. It does not hold the path either, for a URL that was mixed up may have put anything there.
var ErrCA = errors.New("has a ca_file that cannot be used: it must be a readable file of certificates in PEM form, and the URL must start with rediss://")

// go-redis reports every failed dial on standard error, through one logger of the whole process; it must be replaced
// before the first client exists. Whoever uses a client gets the same failure as an error.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Parse reads any form of the URL. Every error is ErrURL or ErrCA.
func Parse(raw string) (*redis.UniversalOptions, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, ErrURL // not wrapped: url.Error quotes the whole URL
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, ErrURL
	}
	ca := query.Get("ca_file")
	query.Del("ca_file") // ours: go-redis has no word for it
	u.RawQuery = query.Encode()
	o, err := form(u, query)
	if err != nil {
		return nil, ErrURL
	}
	if ca != "" {
		if err := trust(o.TLSConfig, ca); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// form reads the form that query speaks of.
func form(u *url.URL, query url.Values) (*redis.UniversalOptions, error) {
	switch {
	case query.Has("master_name"):
		return watched(u.String())
	case query.Has("addr"):
		return cluster(u)
	default:
		return single(u.String())
	}
}

func single(raw string) (*redis.UniversalOptions, error) {
	o, err := redis.ParseURL(raw)
	if err != nil {
		return nil, err
	}
	return &redis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password,
		ClientName: o.ClientName, TLSConfig: o.TLSConfig, Protocol: o.Protocol, PoolSize: o.PoolSize,
	}, nil
}

// watched is the form of Sentinels. A user and a password before the host are the Sentinels' own; those of the servers
// come as parameters.
func watched(raw string) (*redis.UniversalOptions, error) {
	o, err := redis.ParseFailoverURL(raw)
	if err != nil {
		return nil, err
	}
	if o.MasterName == "" {
		return nil, ErrURL
	}
	return &redis.UniversalOptions{
		Addrs: o.SentinelAddrs, MasterName: o.MasterName, SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
		DB: o.DB, Username: o.Username, Password: o.Password,
		ClientName: o.ClientName, TLSConfig: o.TLSConfig, Protocol: o.Protocol, PoolSize: o.PoolSize,
	}, nil
}

// cluster refuses a database: a Cluster has only one.
func cluster(u *url.URL) (*redis.UniversalOptions, error) {
	if strings.Trim(u.Path, "/") != "" {
		return nil, ErrURL
	}
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, err
	}
	return &redis.UniversalOptions{
		Addrs: o.Addrs, IsClusterMode: true, Username: o.Username, Password: o.Password,
		ClientName: o.ClientName, TLSConfig: o.TLSConfig, Protocol: o.Protocol, PoolSize: o.PoolSize,
	}, nil
}

// trust makes config believe the authorities in a file, and no others.
func trust(config *tls.Config, file string) error {
	text, err := os.ReadFile(file)
	pool := x509.NewCertPool()
	if err != nil || config == nil || !pool.AppendCertsFromPEM(text) {
		return ErrCA
	}
	config.RootCAs = pool
	return nil
}
