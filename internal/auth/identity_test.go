package auth

import (
	"errors"
	"testing"
)

func TestWhoMayAskForWhom(t *testing.T) {
	ann := Identity{Tenant: "acme", UserID: "ann", Scopes: Jobs}
	boss := Identity{Tenant: "acme", UserID: "boss", Scopes: Jobs | Ops}
	service := Identity{Tenant: "acme", Scopes: Jobs}
	user := func(id string, s Scopes) Caller { return Caller{Tenant: "acme", UserID: id, Scopes: s} }
	for name, tc := range map[string]struct {
		who   Identity
		named string
		want  Caller
		err   error
	}{
		"a user, of themselves":              {ann, "", user("ann", Jobs), nil},
		"a user, by their name":              {ann, "ann", user("ann", Jobs), nil},
		"a user, for another":                {ann, "bob", Caller{}, ErrOtherUser},
		"a user, for one whose name is like": {ann, "Ann", Caller{}, ErrOtherUser},
		"an operator, of everybody":          {boss, "", Caller{Tenant: "acme", Operator: true, Scopes: Jobs | Ops}, nil},
		"an operator, of themselves":         {boss, "boss", user("boss", Jobs|Ops), nil},
		"an operator, for another":           {boss, "bob", user("bob", Jobs|Ops), nil},
		"a service, for a user":              {service, "bob", user("bob", Jobs), nil},
		"a service that forgot to say whom":  {service, "", Caller{}, ErrUnnamed},
		"local, of everybody":                {Local(), "", LocalOperator(), nil},
		"local, for a user":                  {Local(), "bob", Caller{UserID: "bob", Scopes: Admin}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := tc.who.For(tc.named); got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("For(%q) = %+v, %v, want %+v, %v", tc.named, got, err, tc.want, tc.err)
			}
		})
	}
}

func TestNobodySeesAnotherTenants(t *testing.T) {
	for _, c := range []Caller{
		{Tenant: "acme", UserID: "ann"}, {Tenant: "acme", Operator: true, Scopes: Admin}, LocalOperator(), {Tenant: "acme"},
	} {
		if c.Sees("other", "ann") || c.Sees("other", "") {
			t.Errorf("%+v sees what is another tenant's", c)
		}
	}
	if (Caller{UserID: "ann", Operator: true}).Sees("", "bob") {
		t.Error("an operator who asks for ann sees bob's")
	}
}

func TestScopesHoldEachOtherOnlyInAdmin(t *testing.T) {
	for _, tc := range []struct {
		has, need Scopes
		want      bool
	}{
		{Jobs, Jobs, true},
		{Jobs, Ops, false},
		{Ops, Jobs, false},
		{Jobs | Ops, Ops, true},
		{Jobs, Jobs | Ops, false},
		{Admin, Jobs | Ops, true},
		{Jobs | Ops, Admin, false},
		{0, Jobs, false},
		{0, 0, true},
	} {
		if got := tc.has.Has(tc.need); got != tc.want {
			t.Errorf("%q has %q: %v", tc.has, tc.need, got)
		}
	}
}
