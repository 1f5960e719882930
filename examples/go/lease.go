// A lease from Go: lease SOCKET CREDSPEC.json USER DOMAIN, the password on standard input.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"

	pb "credentialsfetcher"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: lease SOCKET CREDSPEC.json USER DOMAIN")
	}
	socket, user, domain := os.Args[1], os.Args[3], os.Args[4]
	credspec, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	password := strings.TrimSuffix(string(input), "\n")

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := grpc.DialContext(ctx, "unix:"+socket, grpc.WithInsecure(), grpc.WithBlock())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	daemon := pb.NewCredentialsFetcherServiceClient(conn)

	lease, err := daemon.AddNonDomainJoinedKerberosLease(ctx, &pb.CreateNonDomainJoinedKerberosLeaseRequest{
		CredspecContents: []string{string(credspec)},
		Username:         user,
		Password:         password,
		Domain:           domain,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, directory := range lease.CreatedKerberosFilePaths {
		fmt.Printf("ticket: KRB5CCNAME=%s/krb5cc\n", directory)
	}
	renewed, err := daemon.RenewNonDomainJoinedKerberosLease(ctx, &pb.RenewNonDomainJoinedKerberosLeaseRequest{
		Username: user, Password: password, Domain: domain,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("renewed: %d\n", len(renewed.RenewedKerberosFilePaths))
	deleted, err := daemon.DeleteKerberosLease(ctx, &pb.DeleteKerberosLeaseRequest{LeaseId: lease.LeaseId})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("deleted: %d\n", len(deleted.DeletedKerberosFilePaths))
}
