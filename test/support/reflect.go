// A foreign reflection client: grpc-go's own v1alpha stubs and health stubs. reflect SOCKET
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"sort"
	"time"

	"github.com/golang/protobuf/proto"
	"github.com/golang/protobuf/protoc-gen-go/descriptor"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	rpb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
)

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := grpc.DialContext(ctx, "unix:"+os.Args[1], grpc.WithInsecure(), grpc.WithBlock())
	if err != nil {
		log.Fatal(err)
	}
	health, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("health", health.Status)

	stream, err := rpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		log.Fatal(err)
	}
	ask := func(request *rpb.ServerReflectionRequest) *rpb.ServerReflectionResponse {
		if err := stream.Send(request); err != nil {
			log.Fatal(err)
		}
		response, err := stream.Recv()
		if err != nil {
			log.Fatal(err)
		}
		return response
	}
	services := ask(&rpb.ServerReflectionRequest{MessageRequest: &rpb.ServerReflectionRequest_ListServices{}}).GetListServicesResponse()
	names := []string{}
	for _, service := range services.Service {
		names = append(names, service.Name)
	}
	sort.Strings(names)
	for _, name := range names {
		symbol := &rpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name}
		file := &descriptor.FileDescriptorProto{}
		answer := ask(&rpb.ServerReflectionRequest{MessageRequest: symbol}).GetFileDescriptorResponse()
		if err := proto.Unmarshal(answer.FileDescriptorProto[0], file); err != nil {
			log.Fatal(err)
		}
		for _, service := range file.Service {
			for _, method := range service.Method {
				fmt.Printf("%s/%s %s -> %s\n", name, method.GetName(), method.GetInputType(), method.GetOutputType())
			}
		}
	}
	missing := &rpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "no.such.Thing"}
	fmt.Println("missing", ask(&rpb.ServerReflectionRequest{MessageRequest: missing}).GetErrorResponse().ErrorCode)
}
